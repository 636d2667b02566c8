package chat

import (
	"bytes"
	"strings"

	"github.com/llcuda/llcuda/engine/tokenizer"
)

// A Parser splits what a model writes into reasoning, content and tool calls,
// while it comes. One goroutine uses it.
//
// A tool call comes out when it is whole and sound: until then nobody knows
// whether it is one. What turns out not to be a call is content, so no text is
// lost. The result does not depend on how the text is cut into pieces.
type Parser struct {
	format format
	tools  map[string]bool // names; empty: nothing is a call
	state  func(p *Parser) bool

	buf    []byte // not yet in events
	end    bool   // nothing more comes
	events []Event
	calls  int
	wrong  int // how often what looked like a call was none

	form    *callForm // of the call that may begin buf
	scan    jsonScan  // of its JSON
	channel channel   // of the part of the answer, in gpt-oss' format
}

// NewParser parses the continuation of a rendered prompt, which may have begun
// with the reasoning already. Tool calls are looked for if there are tools.
func (t *Template) NewParser(prompt string, tools []Tool) *Parser {
	p := &Parser{format: t.format, tools: map[string]bool{}, state: (*Parser).start}
	for _, tool := range tools {
		p.tools[tool.Name] = true
	}
	if t.format.harmony {
		p.state = (*Parser).header
		return p
	}
	before := strings.TrimRight(prompt, " \n")
	for _, tags := range t.format.thinking {
		if strings.HasSuffix(before, tags[0]) {
			p.format.thinking = [][2]string{tags}
			p.state = (*Parser).reasoningStart
		}
		if strings.HasSuffix(before, tags[1]) {
			p.state = (*Parser).answerStart
		}
	}
	return p
}

// Push takes more of the text.
func (p *Parser) Push(text string) []Event {
	p.buf = append(p.buf, text...)
	return p.run()
}

// Close ends the text and returns what was held back.
func (p *Parser) Close() []Event {
	p.end = true
	return p.run()
}

func (p *Parser) run() []Event {
	p.events = nil
	for len(p.buf) > 0 && p.state(p) {
	}
	return p.events
}

// take makes an event of the first n bytes.
func (p *Parser) take(kind EventKind, n int) {
	if n == 0 {
		return
	}
	e := Event{Kind: kind, Raw: string(p.buf[:n])}
	if kind != Markup {
		e.Text = e.Raw
	}
	p.events = append(p.events, e)
	p.buf = p.buf[n:]
}

// start is the beginning of the answer: blanks, and then a tag that opens the
// reasoning, a call, or content.
func (p *Parser) start() bool {
	n := blanks(p.buf)
	rest := p.buf[n:]
	for _, tags := range p.format.thinking {
		switch match(rest, tags[0]) {
		case whole:
			p.take(Markup, n+len(tags[0]))
			p.format.thinking = [][2]string{tags}
			p.state = (*Parser).reasoningStart
			return true
		case part:
			if !p.end && n < holdMost {
				return false
			}
		}
	}
	return p.begin(n, ContentDelta)
}

// answerStart is the beginning of what follows the reasoning, or a call.
func (p *Parser) answerStart() bool {
	n := blanks(p.buf)
	return p.begin(n, Markup)
}

// begin goes on to a call without an opening tag or to content, behind n
// blanks that become events of a kind if content follows.
func (p *Parser) begin(n int, lead EventKind) bool {
	rest := p.buf[n:]
	if len(rest) == 0 && n < holdMost {
		if !p.end {
			return false
		}
	} else if len(p.tools) > 0 && len(rest) > 0 {
		for _, open := range p.openers() {
			switch match(rest, open) {
			case whole:
				p.take(Markup, n)
				p.state = (*Parser).content
				return true
			case part:
				if !p.end {
					return false
				}
			}
		}
		for _, open := range []string{"{", "[", "```"} {
			switch match(rest, open) {
			case whole:
				p.take(Markup, n)
				p.call(&bareForm)
				return true
			case part:
				if !p.end {
					return false
				}
			}
		}
	}
	p.take(lead, n)
	p.state = (*Parser).content
	return true
}

// content is the answer.
func (p *Parser) content() bool {
	if len(p.tools) > 0 {
		if i, f := p.opener(); f != nil {
			n := len(bytes.TrimRight(p.buf[:i], space))
			p.take(ContentDelta, n)
			p.take(Markup, i-n)
			p.call(f)
			return true
		}
	}
	return p.text(ContentDelta, p.openers()...)
}

func (p *Parser) reasoningStart() bool {
	n := blanks(p.buf)
	if n == len(p.buf) && n < holdMost && !p.end {
		return false
	}
	p.take(Markup, n)
	p.state = (*Parser).reasoning
	return true
}

func (p *Parser) reasoning() bool {
	close := p.format.thinking[0][1]
	i := bytes.Index(p.buf, []byte(close))
	if i < 0 {
		return p.text(ReasoningDelta, close)
	}
	n := len(bytes.TrimRight(p.buf[:i], space))
	p.take(ReasoningDelta, n)
	p.take(Markup, i-n+len(close))
	p.state = (*Parser).answerStart
	return true
}

// text passes on what cannot belong to a tag, nor be blanks before one, nor
// the beginning of a character.
func (p *Parser) text(kind EventKind, tags ...string) bool {
	n := len(p.buf)
	if p.end {
		p.take(kind, n)
		return false
	}
	for _, t := range tags {
		n = min(n, len(p.buf)-tail(p.buf, t))
	}
	if n == len(p.buf) {
		n -= tokenizer.Partial(p.buf)
	}
	if len(tags) > 0 {
		if t := len(bytes.TrimRight(p.buf[:n], space)); n-t < holdMost {
			n = t
		}
	}
	p.take(kind, n)
	return false
}

// call begins to read what may be a call.
func (p *Parser) call(f *callForm) {
	p.form, p.scan, p.state = f, jsonScan{}, (*Parser).reading
}

// reading is inside of what may be a call.
func (p *Parser) reading() bool {
	n, calls, v := p.form.read(p)
	switch {
	case v == unknown && (p.end || len(p.buf) > callMost): // nobody looks for a call inside of it again
		p.state = (*Parser).content
		p.take(ContentDelta, len(p.buf))
		return false
	case v == unknown:
		return false
	case v == wrong:
		if p.wrong++; p.wrong > wrongMost {
			p.tools = nil
		}
		p.state = (*Parser).content
		p.take(ContentDelta, len(p.form.open)) // and what follows is looked at again
		return true
	}
	raw := string(p.buf[:n])
	p.buf = p.buf[n:]
	if len(calls) == 0 {
		p.events = append(p.events, Event{Kind: Markup, Raw: raw})
	}
	for _, c := range calls {
		p.emit(c, raw)
		raw = ""
	}
	p.state = (*Parser).afterCall
	return true
}

// afterCall is behind a call; Llama parts two with a semicolon.
func (p *Parser) afterCall() bool {
	n := blanks(p.buf)
	if n < len(p.buf) && p.buf[n] == ';' {
		p.take(Markup, n+1)
	} else if n == len(p.buf) && n < holdMost && !p.end {
		return false
	}
	p.state = (*Parser).answerStart
	return true
}

// emit makes the events of a call.
func (p *Parser) emit(c ToolCall, raw string) {
	if c.ID == "" {
		c.ID = newID()
	}
	p.events = append(p.events,
		Event{Kind: CallStart, Call: p.calls, Tool: ToolCall{ID: c.ID, Name: c.Name}, Raw: raw},
		Event{Kind: CallArguments, Call: p.calls, Text: c.Arguments},
		Event{Kind: CallEnd, Call: p.calls, Tool: c})
	p.calls++
}

// opener finds the first tag that opens a call.
func (p *Parser) opener() (at int, f *callForm) {
	for i := range p.format.calls {
		c := &p.format.calls[i]
		if n := bytes.Index(p.buf, []byte(c.open)); n >= 0 && (f == nil || n < at) {
			at, f = n, c
		}
	}
	return at, f
}

func (p *Parser) openers() (tags []string) {
	if len(p.tools) > 0 {
		for _, c := range p.format.calls {
			tags = append(tags, c.open)
		}
	}
	return tags
}

const (
	space     = " \t\r\n"
	holdMost  = 256     // bytes of blanks that wait for what follows them
	callMost  = 1 << 20 // bytes of a call
	wrongMost = 64      // calls that are none, until nothing more is taken for one: they may be nested
)

func blanks(b []byte) int { return len(b) - len(bytes.TrimLeft(b, space)) }

// A found says how a text begins.
type found uint8

const (
	not   found = iota
	part        // it is the beginning of the tag
	whole       // it begins with the tag
)

func match(b []byte, tag string) found {
	switch {
	case len(b) >= len(tag):
		if string(b[:len(tag)]) == tag {
			return whole
		}
	case tag[:len(b)] == string(b):
		return part
	}
	return not
}

// tail is the length of the longest end of b that begins tag.
func tail(b []byte, tag string) int {
	for n := min(len(b), len(tag)-1); n > 0; n-- {
		if string(b[len(b)-n:]) == tag[:n] {
			return n
		}
	}
	return 0
}
