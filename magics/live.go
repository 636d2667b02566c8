package magics

import (
	"github.com/gofrs/uuid/v5"

	"github.com/llcuda/llcuda/jupyter"
)

// A live is one display that changes: its id, "" before it is shown.
type live string

func (l *live) show(d *jupyter.Display, b jupyter.Bundle) {
	if *l == "" {
		*l = live(uuid.Must(uuid.NewV4()).String())
		d.ShowID(string(*l), b)
		return
	}
	d.Update(string(*l), b)
}
