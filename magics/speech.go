package magics

import (
	"fmt"
	"strings"
	"time"

	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/jupyter"
)

// A speech shows an answer while it comes: content as text, reasoning in a
// display of its own that folds when it ends, tool calls as what they are.
type speech struct {
	d   *jupyter.Display
	off bool // --json: nothing is shown

	thoughts strings.Builder
	live     live // the reasoning
	start    time.Time
	last     time.Time
	thinking bool
	midline  bool // the text printed so far does not end a line
}

var (
	thoughtsHTML = parseHTML("thoughts", `<details{{if .Live}} open{{end}}><summary style="opacity:.75; cursor:pointer">{{.Title}}</summary>`+
		`<div style="opacity:.75; white-space:pre-wrap; margin:.3em 0 .3em 1em">{{.Text}}</div></details>`)
	callHTML = parseHTML("call", `<div><code>{{.Name}}</code> <span style="opacity:.75">{{.ID}}</span><pre style="white-space:pre-wrap; margin:.2em 0 .2em 1em">{{.Arguments}}</pre></div>`)
)

func (s *speech) say(e chat.Event) {
	if s.off {
		return
	}
	if e.Kind == chat.ReasoningDelta {
		s.think(e.Text)
		return
	}
	if e.Kind != chat.Markup {
		s.thought()
	}
	switch e.Kind {
	case chat.ContentDelta:
		fmt.Fprint(s.d.Stdout(), e.Text)
		s.midline = !strings.HasSuffix(e.Text, "\n")
	case chat.CallEnd:
		s.line()
		s.d.Show(callBundle(e.Tool))
	}
}

// line ends the line that is printed.
func (s *speech) line() {
	if s.midline {
		fmt.Fprintln(s.d.Stdout())
		s.midline = false
	}
}

func (s *speech) end() {
	if !s.off {
		s.thought()
		s.line()
	}
}

func (s *speech) think(text string) {
	now := time.Now()
	if !s.thinking {
		s.line()
		s.thinking, s.start, s.live = true, now, ""
		s.thoughts.Reset()
	}
	s.thoughts.WriteString(text)
	if s.d.Interactive() && now.Sub(s.last) >= progressPeriod {
		s.last = now
		s.live.show(s.d, thoughtsBundle("thinking …", s.thoughts.String(), true))
	}
}

// thought folds the reasoning.
func (s *speech) thought() {
	if s.thinking {
		s.thinking = false
		s.live.show(s.d, thoughtsBundle("thought for "+secondsText(time.Since(s.start)), s.thoughts.String(), false))
	}
}

func thoughtsBundle(title, text string, live bool) jupyter.Bundle {
	text = strings.TrimSpace(text)
	return jupyter.Bundle{
		"text/plain": title + "\n" + indent(text),
		"text/html": renderHTML(thoughtsHTML, struct {
			Title, Text string
			Live        bool
		}{title, text, live}),
	}
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

func callBundle(t chat.ToolCall) jupyter.Bundle {
	return jupyter.Bundle{"text/plain": fmt.Sprintf("%s calls %s %s", t.ID, t.Name, t.Arguments), "text/html": renderHTML(callHTML, t)}
}

var talkHTML = parseHTML("talk", `{{range .}}<div style="margin:.4em 0"><b>{{.Role}}</b>{{with .Note}} <span style="opacity:.75">{{.}}</span>{{end}}`+
	`{{with .Reasoning}}<details><summary style="opacity:.75; cursor:pointer">thought</summary><div style="opacity:.75; white-space:pre-wrap; margin-left:1em">{{.}}</div></details>{{end}}`+
	`{{with .Content}}<div style="white-space:pre-wrap">{{.}}</div>{{end}}{{range .Calls}}<div><code>{{.Name}}</code> <span style="opacity:.75">{{.ID}}</span> <code>{{.Arguments}}</code></div>{{end}}</div>{{end}}`)

// showTalk shows the conversation.
func (c *Call) showTalk() error {
	v := &c.talk
	if len(v.messages) == 0 {
		c.note("nothing was said yet")
		return nil
	}
	type row struct {
		Role, Note, Reasoning, Content string
		Calls                          []chat.ToolCall
	}
	var rows []row
	var text strings.Builder
	current, _ := c.models.findAny("") // nil: none, which leaves nothing out
	left := v.left(current)
	first := 0
	if _, ok := v.system(); ok {
		first = 1
	}
	for i, m := range v.messages {
		r := row{m.Role, m.ToolCallID, m.Reasoning, m.Content, m.ToolCalls}
		if i >= first && i < first+left {
			r.Note = "left out: the context is full"
		}
		rows = append(rows, r)
		fmt.Fprintf(&text, "%s: ", strings.TrimSpace(r.Role+" "+r.Note))
		if r.Reasoning != "" {
			fmt.Fprintf(&text, "(thought)\n%s\n", indent(r.Reasoning))
		}
		fmt.Fprintln(&text, strings.TrimSpace(r.Content))
		for _, t := range r.Calls {
			fmt.Fprintf(&text, "  %s calls %s %s\n", t.ID, t.Name, t.Arguments)
		}
	}
	c.Display.Show(jupyter.Bundle{"text/plain": strings.TrimSuffix(text.String(), "\n"), "text/html": renderHTML(talkHTML, rows)})
	return nil
}
