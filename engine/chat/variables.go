package chat

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/internal/jinja"
)

// variables are all but the messages.
func (t *Template) variables(tools []Tool, o Options) (map[string]any, error) {
	vars := map[string]any{"tools": nil, "documents": nil}
	if on := o.EnableThinking; on != nil {
		vars["enable_thinking"], vars["thinking"] = *on, *on
		if !*on && t.format.harmony {
			vars["reasoning_effort"] = "low"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Variables)) {
		raw, err := t.guard.json(o.Variables[name])
		if err != nil {
			return nil, &Error{fmt.Sprintf("variable %q", name), err}
		}
		vars[name] = raw
	}
	vars["add_generation_prompt"] = o.AddGenerationPrompt
	if len(tools) > 0 {
		var all []json.RawMessage
		for i, tool := range tools {
			raw, err := encode(tool)
			if err == nil {
				raw, err = t.guard.json(raw)
			}
			if err != nil {
				return nil, &Error{fmt.Sprintf("tool %d", i), err}
			}
			all = append(all, raw)
		}
		vars["tools"] = all
	}
	for name, id := range t.specials() {
		vars[name] = t.tokenizer.Text(id)
	}
	return vars, nil
}

// specials are the tokens that templates write by name.
func (t *Template) specials() map[string]int32 {
	ids := map[string]int32{}
	if t.tokenizer == nil {
		return ids
	}
	for name, of := range map[string]func() (int32, bool){"bos_token": t.tokenizer.BOS, "eos_token": t.tokenizer.EOS,
		"pad_token": t.tokenizer.PAD, "unk_token": t.tokenizer.UNK} {
		id, ok := of()
		if !ok && name != "bos_token" && name != "eos_token" {
			continue
		}
		ids[name] = id // the text of none is ""
	}
	return ids
}

// messages are the messages as the template sees them.
func (t *Template) messages(messages []Message, f form) ([]*jinja.Map, error) {
	all := make([]*jinja.Map, len(messages))
	for i := range messages {
		m, err := t.message(&messages[i], f)
		if err != nil {
			return nil, &Error{fmt.Sprintf("message %d", i), err}
		}
		all[i] = m
	}
	return all, nil
}

func (t *Template) message(m *Message, f form) (*jinja.Map, error) {
	out := &jinja.Map{}
	role := m.Role
	switch {
	case role == Developer && !strings.Contains(t.source, Developer):
		role = System
	case role == Function:
		role = ToolRole
	}
	out.Set("role", role)
	out.Set("content", t.content(m, f))
	if m.Reasoning != "" {
		out.Set("reasoning_content", t.guard.text(m.Reasoning))
		if t.format.harmony {
			out.Set("thinking", t.guard.text(m.Reasoning))
		}
	}
	if len(m.ToolCalls) > 0 {
		var calls []*jinja.Map
		for i, c := range m.ToolCalls {
			call, err := t.call(c, f)
			if err != nil {
				return nil, fmt.Errorf("tool call %d: %w", i, err)
			}
			calls = append(calls, call)
		}
		out.Set("tool_calls", calls)
	}
	if m.ToolCallID != "" {
		out.Set("tool_call_id", t.guard.text(m.ToolCallID))
	}
	if m.Name != "" {
		out.Set("name", t.guard.text(m.Name))
	}
	return out, nil
}

func (t *Template) content(m *Message, f form) any {
	switch {
	case f.null && m.Content == "" && len(m.ToolCalls) > 0:
		return nil
	case !f.typed:
		return t.guard.text(m.Content)
	}
	parts := []*jinja.Map{}
	add := func(text string) {
		p := &jinja.Map{}
		p.Set("type", "text")
		p.Set("text", t.guard.text(text))
		parts = append(parts, p)
	}
	for _, p := range m.Parts {
		add(p.Text)
	}
	if m.Parts == nil {
		add(m.Content)
	}
	return parts
}

func (t *Template) call(c ToolCall, f form) (*jinja.Map, error) {
	function := &jinja.Map{}
	function.Set("name", t.guard.text(c.Name))
	var object any = t.guard.text(c.Arguments)
	if text := strings.TrimSpace(c.Arguments); !f.quoted && (text == "" || strings.HasPrefix(text, "{") && json.Valid([]byte(text))) {
		if text == "" {
			text = "{}"
		}
		raw, err := t.guard.json(json.RawMessage(text))
		if err != nil {
			return nil, err
		}
		object = raw
	}
	function.Set("arguments", object)
	call := &jinja.Map{}
	if c.ID != "" {
		call.Set("id", t.guard.text(c.ID))
	}
	call.Set("type", "function")
	call.Set("function", function)
	return call, nil
}
