package magics

import (
	"fmt"
	"strings"
	"time"

	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
)

// A progressBar is one display that changes: at most five times a second, and
// not at all for what is done at once or watched by nobody.
type progressBar struct {
	d    *jupyter.Display
	what string

	count func(n int64) string // what is done, in words; nil: bytes
	more  func() string        // behind the numbers; nil: nothing

	off  bool
	rate bool // show bytes a second and the time left
	live live

	start time.Time
	last  time.Time
	told  bool // that it waits
	speed catalog.Speed
}

const (
	progressDelay  = 300 * time.Millisecond
	progressPeriod = 200 * time.Millisecond
)

var (
	progressHTML = parseHTML("progress", `<div>{{.What}} <progress value="{{.Done}}" max="{{.Total}}"></progress> {{.Numbers}}</div>`)
	noteHTML     = parseHTML("note", `<div style="opacity:.75; white-space:pre-line">{{.}}</div>`)
)

func (p *progressBar) begin() { p.start = time.Now() }

func (p *progressBar) update(done, total int64) {
	now := time.Now()
	p.speed.Add(now, done)
	if p.off || total <= 0 || now.Sub(p.start) < progressDelay || now.Sub(p.last) < progressPeriod {
		return
	}
	p.last = now
	const width = 30
	full := int(width * float64(done) / float64(total))
	words := p.count
	if words == nil {
		words = bytesText
	}
	numbers := fmt.Sprintf("%d %%, %s of %s", 100*done/total, words(done), words(total))
	if p.rate {
		numbers += SpeedText(&p.speed, total)
	}
	if p.more != nil {
		numbers += p.more()
	}
	p.live.show(p.d, jupyter.Bundle{
		"text/plain": fmt.Sprintf("%s [%s%s] %s", p.what, strings.Repeat("#", full), strings.Repeat(" ", width-full), numbers),
		"text/html": renderHTML(progressHTML, struct {
			What        string
			Done, Total int64
			Numbers     string
		}{p.what, done, total, numbers}),
	})
}

// waits stands in the bar's place until there are new numbers; where nobody
// watches it is said once.
func (p *progressBar) waits(text string) {
	if p.off && p.told {
		return
	}
	p.told = true
	p.live.show(p.d, jupyter.Bundle{"text/plain": text, "text/html": renderHTML(noteHTML, text)})
}

// WaitsText says that a model is being fetched by another process.
func WaitsText(name string) string {
	return fmt.Sprintf("another process is fetching %s; waiting for it", name)
}

// done replaces the bar by what came of it.
func (p *progressBar) done(text string) {
	p.end(jupyter.Bundle{"text/plain": text, "text/html": renderHTML(noteHTML, text)})
}

// end is done with more than text.
func (p *progressBar) end(b jupyter.Bundle) {
	if p.live == "" {
		p.d.Show(b)
		return
	}
	p.live.show(p.d, b)
}

// failed takes a bar away that would stand still for ever.
func (p *progressBar) failed() {
	if p.live != "" {
		p.done(p.what + ": stopped")
	}
}

// SpeedText is the rate and the time left, behind a comma.
func SpeedText(s *catalog.Speed, total int64) string {
	r := s.Rate()
	if r == 0 {
		return ""
	}
	text := ", " + bytesText(int64(r)) + "/s"
	if left := s.Left(total); left > 0 {
		text += ", " + left.String() + " left"
	}
	return text
}
