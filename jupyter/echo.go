package jupyter

import (
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// An echo shows a running notebook as text. A nil one shows nothing.
type echo struct {
	mu     sync.Mutex
	w      io.Writer
	colour bool
	inLine bool // the cursor is not at the start of a line
}

// newEcho colours when w is a terminal and nobody objects
// (https://no-color.org).
func newEcho(w io.Writer) *echo {
	if w == nil {
		return nil
	}
	e := &echo{w: w}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		fi, err := f.Stat()
		e.colour = err == nil && fi.Mode()&os.ModeCharDevice != 0
	}
	return e
}

var ansi = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)

// write writes text, in the given SGR style where there is colour.
func (e *echo) write(style, text string) {
	if text == "" {
		return
	}
	switch {
	case !e.colour:
		text = ansi.ReplaceAllString(text, "")
	case style != "":
		text = "\x1b[" + style + "m" + text + "\x1b[0m"
	}
	io.WriteString(e.w, text)
	e.inLine = !strings.HasSuffix(strings.TrimSuffix(text, "\x1b[0m"), "\n")
}

func (e *echo) endLine() {
	if e.inLine {
		e.write("", "\n")
	}
}

// source announces a cell: its number before the first line, a bar before all.
func (e *echo) source(c *NotebookCell) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endLine()
	label := fmt.Sprintf("[%d]", c.Count)
	e.write("", "\n")
	for line := range strings.SplitSeq(strings.TrimRight(c.Source, "\n"), "\n") {
		e.write("36", label+" │ ") // cyan
		e.write("1", line+"\n")
		label = strings.Repeat(" ", len(label))
	}
}

// prose shows the headings of a text cell.
func (e *echo) prose(c *NotebookCell) {
	if e == nil || c.Type != "markdown" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for line := range strings.SplitSeq(c.Source, "\n") {
		if strings.HasPrefix(line, "#") {
			e.endLine()
			e.write("1;35", "\n"+strings.TrimSpace(strings.TrimLeft(line, "#"))+"\n")
		}
	}
}

// output shows a message of the cell as it comes.
func (e *echo) output(msgType string, content map[string]any) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch msgType {
	case "stream":
		style := ""
		if content["name"] == "stderr" {
			style = "33"
		}
		text, _ := content["text"].(string)
		e.write(style, text)
	case "display_data", "execute_result", "update_display_data":
		e.endLine()
		e.write("", bundleText(content["data"])+"\n")
	}
}

// payload shows what would be in the pager.
func (e *echo) payload(p map[string]any) {
	if e == nil || p["source"] != "page" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endLine()
	e.write("", bundleText(p["data"])+"\n")
}

// bundleText is what a terminal can show of a bundle.
func bundleText(v any) string {
	data, _ := v.(map[string]any)
	for _, mime := range []string{"text/plain", "text/markdown"} {
		if s, ok := data[mime].(string); ok {
			return strings.TrimRight(s, "\n")
		}
	}
	return "<" + strings.Join(slices.Sorted(maps.Keys(data)), ", ") + ">"
}

func (e *echo) failure(err *Error) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endLine()
	for _, line := range err.Traceback {
		e.write("", strings.TrimRight(line, "\n")+"\n")
	}
}

func (e *echo) summary(cells, failed int, took time.Duration) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endLine()
	noun := "cells"
	if cells == 1 {
		noun = "cell"
	}
	style, result := "32", "all ok"
	if failed > 0 {
		style, result = "31", fmt.Sprintf("%d failed", failed)
	}
	e.write(style, fmt.Sprintf("\n%d %s in %.2f s, %s\n", cells, noun, took.Seconds(), result))
}
