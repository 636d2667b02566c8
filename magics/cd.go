package magics

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
)

func init() {
	register(Magic{Name: "cd", Args: "[FOLDER]", Doc: "changes the current folder, for files and ! commands; alone, to the home folder", Line: true,
		Help:     "%cd ..\n%cd -    back to the former folder",
		Run:      cd,
		Complete: func(_ *Interpreter, c Completing) []string { return c.files("/") }})
}

func cd(_ context.Context, c *Call) error {
	dir := "~"
	if len(c.Args) > 0 {
		dir = strings.Join(c.Args, " ") // %cd /content/drive/My Drive
	}
	if dir == "-" {
		if c.formerFolder == "" {
			return c.usage("there is no former folder yet")
		}
		dir = c.formerFolder
	}
	dir = catalog.InHome(dir)
	former, _ := os.Getwd()
	if err := os.Chdir(dir); err != nil {
		return &jupyter.Error{Name: "FileError", Value: fmt.Sprintf("%s: %v; !ls shows what is here", dir, errors.Unwrap(err))}
	}
	c.formerFolder = former
	now, err := os.Getwd()
	if err != nil {
		now = filepath.Clean(dir)
	}
	fmt.Fprintln(c.Display.Stdout(), now)
	return nil
}
