package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/internal/jinja"
)

// A Template makes prompts of messages. It does not change and may be shared
// by goroutines.
type Template struct {
	tokenizer  *tokenizer.Tokenizer // nil: Render alone works
	base       *jinja.Template
	tools      *jinja.Template // for prompts with tools; nil: base
	source     string          // of both
	completion bool
	typed      bool // contents have to be lists of parts
	guard      *guard
	format     format
}

// completionSource is the prompt of models without a template: the texts of
// all messages in a row. An assistant's goes on directly behind what it
// completed; before any other stands an empty line.
const completionSource = `{% for m in messages %}{% if not loop.first and m.role != 'assistant' %}{{ '\n\n' }}{% endif %}{{ m.content }}{% endfor %}`

// NewTemplate returns the template of a model: the one its file calls
// tool_use for prompts with tools, if there is one, and else the default one.
// A model without a template completes: see Template.Completion.
func NewTemplate(m *engine.Model) (*Template, error) {
	sources := m.ChatTemplates()
	t, err := Parse(sources, m.Tokenizer())
	if err != nil {
		return nil, fmt.Errorf("chat: the template of %s: %w", m.Info().Name, err)
	}
	return t, nil
}

// Parse returns the template with these sources by name, the default one
// under "". Without a tokenizer it renders, but does not encode.
func Parse(sources map[string]string, tok *tokenizer.Tokenizer) (*Template, error) {
	source := sources[""]
	if source == "" {
		source = sources["default"]
	}
	t := &Template{tokenizer: tok, source: source + sources["tool_use"]}
	if source == "" && sources["tool_use"] != "" {
		source = sources["tool_use"]
	}
	if source == "" {
		t.completion, source = true, completionSource
	}
	var err error
	if t.base, err = jinja.Parse(source); err != nil {
		return nil, err
	}
	if s := sources["tool_use"]; s != "" && s != source {
		if t.tools, err = jinja.Parse(s); err != nil {
			return nil, fmt.Errorf("tool_use: %w", err)
		}
	}
	t.guard = newGuard(tok, t.source)
	t.format = formatOf(t.source)
	t.typed = t.wantsParts()
	return t, nil
}

// Completion says that the model has no template: it was not made for
// conversations, and just continues the text of the messages. Each message
// but an assistant's begins behind an empty line; roles are not written.
func (t *Template) Completion() bool { return t.completion }

// Source is the text of the model's template, "" if there is none.
func (t *Template) Source() string { return t.source }

// Options say how messages are rendered. The zero value ends with the last
// message; a generation needs AddGenerationPrompt.
type Options struct {
	AddGenerationPrompt bool                       // end with the beginning of the assistant's message
	EnableThinking      *bool                      // nil: what the template does by itself
	Variables           map[string]json.RawMessage // more variables of the template ("chat_template_kwargs")
	Now                 time.Time                  // what strftime_now shows; zero: the time of the call
	MaxBytes            int                        // of a Prompt's text: no tokens are made of more; 0: any
}

// A TooLongError is a prompt of more than Options.MaxBytes.
type TooLongError struct{ Bytes int }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("chat: the prompt has %d bytes, more than the model reads", e.Bytes)
}

// A RefusedError is what a template says of messages that do not suit it, such
// as a system message where the model has none.
type RefusedError struct{ Message string }

func (e *RefusedError) Error() string { return "chat: the model's template refuses: " + e.Message }

// Render is the prompt for messages, as transformers' apply_chat_template
// makes it. The errors are *Error for what the caller can set right,
// *RefusedError where the template refuses, and else the template's own fault.
func (t *Template) Render(messages []Message, tools []Tool, o Options) (string, error) {
	text, err := t.render(messages, tools, o)
	return plain(text), err
}

// A Prompt is what a model reads.
type Prompt struct {
	Text string  // as Render returns it
	IDs  []int32 // its tokens, with BOS in front where the model wants it

	marked string // Text with the guard's marks
}

// Prompt renders messages and encodes them.
//
// Control tokens come from the template alone. What messages, tools and
// variables hold is text, whatever it looks like, and so is what a template
// makes of it by cutting and joining. The limit: a template that itself writes
// the beginning of a control token directly before a text of the user's, and
// finds its end there. Roles, which templates use so, are therefore fixed.
func (t *Template) Prompt(messages []Message, tools []Tool, o Options) (*Prompt, error) {
	text, err := t.render(messages, tools, o)
	if err != nil {
		return nil, err
	}
	p := &Prompt{Text: plain(text), marked: text}
	if o.MaxBytes > 0 && len(p.Text) > o.MaxBytes {
		return nil, &TooLongError{len(p.Text)}
	}
	p.IDs = t.encode(text, false)
	return p, nil
}

// encode makes tokens of a rendered text; more says that it goes on behind
// others.
func (t *Template) encode(marked string, more bool) []int32 {
	return t.tokenizer.Encode(marked, tokenizer.Options{Special: !t.completion, Mark: mark, NoBOS: more, NoEOS: true})
}

// A form is one of the ways in which templates expect what OpenAI's API leaves
// open.
type form struct {
	null   bool // an assistant that only calls has null as content, not ""
	quoted bool // arguments are the text of an object, not an object
	typed  bool // contents are lists of parts
}

// render is the rendered text, with marks.
func (t *Template) render(messages []Message, tools []Tool, o Options) (string, error) {
	if len(messages) == 0 {
		return "", &Error{"messages", errors.New("there are none; give at least one")}
	}
	for i, m := range messages {
		if err := m.Check(); err != nil {
			return "", &Error{fmt.Sprintf("message %d", i), err}
		}
	}
	messages, err := t.plainTools(messages, tools)
	if err != nil {
		return "", err
	}
	calls := slices.ContainsFunc(messages, func(m Message) bool { return len(m.ToolCalls) > 0 })
	vars, err := t.variables(tools, o)
	if err != nil {
		return "", err
	}
	null := strings.Contains(t.source, "is none")
	forms := []form{{null: null}}
	if calls {
		forms = append(forms, form{null: null, quoted: true}, form{null: !null}, form{null: !null, quoted: true})
	}
	var first error
	for _, f := range forms {
		f.typed = t.typed
		vars["messages"], err = t.messages(messages, f)
		if err != nil {
			return "", err
		}
		text, err := t.run(vars, tools, o)
		if err == nil {
			return text, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

func (t *Template) run(vars map[string]any, tools []Tool, o Options) (string, error) {
	source := *t.base
	if len(tools) > 0 && t.tools != nil {
		source = *t.tools
	}
	if !o.Now.IsZero() {
		source.Now = func() time.Time { return o.Now }
	}
	text, err := source.Render(context.Background(), vars)
	var refused *jinja.RaiseError
	if errors.As(err, &refused) {
		return "", &RefusedError{refused.Message}
	}
	if errors.Is(err, jinja.ErrLimit) {
		return "", &Error{"messages", fmt.Errorf("the model's template takes too much for them: %w", err)}
	}
	if err != nil {
		return "", fmt.Errorf("chat: the model's template: %w", err)
	}
	if strings.Contains(t.source, "ensure_ascii") {
		text = strings.ReplaceAll(text, `\ufdd0`, mark)
	}
	return text, nil
}

// wantsParts finds out whether the template shows a content only if it is a
// list of parts.
func (t *Template) wantsParts() bool {
	const probe = "pr0be"
	short, base := *t, *t.base
	base.Limits.Steps = 1e6 // a template without end is found out soon
	short.base = &base
	for _, f := range []form{{}, {typed: true}} {
		vars, err := t.variables(nil, Options{AddGenerationPrompt: true})
		if err != nil {
			return false
		}
		vars["messages"], _ = t.messages([]Message{{Role: User, Content: probe}}, f)
		if text, err := short.run(vars, nil, Options{}); err == nil && strings.Contains(text, probe) {
			return f.typed
		}
	}
	return false
}
