// Package jinja renders chat templates: the part of the Jinja language that
// they use, with the output of jinja2 as transformers sets it up
// (trim_blocks, lstrip_blocks, loop controls, raise_exception, strftime_now,
// tojson in the order of the keys, generation blocks).
//
// A template comes with a model file and is not trusted. It sees the values
// that Render was given and nothing else: no files, no other templates, no
// methods or fields of Go values. Limits bound what it may take.
//
// The reference is jinja2 3.1.6 (BSD-3, https://jinja.palletsprojects.com)
// and transformers/utils/chat_template_utils.py. Left out, with an error
// that says so: include, import, extends and block, autoescape, and filters
// for HTML pages (urlize, xmlattr, striptags, …).
package jinja

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Limits bound what one Render may take. Zero fields mean the defaults. The
// largest chats known take less than a hundredth of these.
type Limits struct {
	Steps  int // operations; 20 million
	Depth  int // calls and nested values; 200
	Output int // bytes of the result; 32 MiB
	Memory int // bytes of all values made on the way; 256 MiB
}

func (l Limits) orDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Steps, 20e6}, {&l.Depth, 200}, {&l.Output, 32 << 20}, {&l.Memory, 256 << 20}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return l
}

// A Template is ready to be rendered, by several goroutines at once. Its
// fields are to be set before that.
type Template struct {
	Limits Limits
	Now    func() time.Time // the clock of strftime_now; nil is time.Now

	src   string
	body  []statement
	frame *frame
}

// Parse reads a template. Its errors are of type *Error.
func Parse(src string) (t *Template, err error) {
	src = strings.ToValidUTF8(src, "\ufffd")
	src = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(src)
	src = strings.TrimSuffix(src, "\n")
	defer catch(src, &err)
	if len(src) > maxSource {
		return nil, &Error{1, 1, fmt.Errorf("template of %d bytes, at most %d allowed: %w", len(src), maxSource, ErrLimit)}
	}
	p := &parser{tokens: lex(src)}
	body, _ := p.statements(token{})
	return &Template{src: src, body: body, frame: bind(body)}, nil
}

// Render is the text of the template for the variables given: nil, bools,
// numbers, strings, lists, maps and JSON (json.RawMessage, *Map). Where the
// order of keys matters, as in tools, pass JSON or a *Map: the keys of a Go
// map are taken in alphabetical order.
//
// An error of the template is an *Error with the place. It wraps a
// *RaiseError if the template refuses the messages itself, ErrLimit if it
// took too much, and the context's error if that ended.
func (t *Template) Render(ctx context.Context, vars map[string]any) (result string, err error) {
	m := &machine{ctx: ctx, limits: t.Limits.orDefaults(), now: t.Now, vars: make(map[string]any, len(vars))}
	if m.now == nil {
		m.now = time.Now
	}
	for name, v := range vars {
		if m.vars[name], err = convert(v, 0); err != nil {
			return "", fmt.Errorf("jinja: variable %q: %w", name, err)
		}
	}
	defer catch(t.src, &err)
	m.out = &strings.Builder{}
	m.env = newEnv(m, t.frame, nil)
	m.run(t.body)
	return m.out.String(), nil
}
