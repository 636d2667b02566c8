package chat

import (
	"bytes"
	"encoding/json"
	"strings"
)

// callsOf reads the calls of a JSON value: one, a list, or {"tool_calls": …}.
// strict wants arguments to be there. nil: it is not that.
func callsOf(value []byte, strict bool) []ToolCall {
	var list struct {
		ToolCalls []json.RawMessage `json:"tool_calls"`
	}
	var items []json.RawMessage
	if bytes.HasPrefix(value, []byte("[")) {
		if json.Unmarshal(value, &items) != nil {
			return nil
		}
	} else if json.Unmarshal(value, &list) == nil && len(list.ToolCalls) > 0 {
		items = list.ToolCalls
	} else {
		items = []json.RawMessage{value}
	}
	var calls []ToolCall
	for _, item := range items {
		c, ok := callOf(item, strict)
		if !ok {
			return nil
		}
		calls = append(calls, c)
	}
	return calls
}

// callOf reads one call: its name, or what holds it in OpenAI's form, and its
// arguments, which are "parameters" to Llama.
func callOf(value []byte, strict bool) (c ToolCall, ok bool) {
	type function struct {
		Name       string          `json:"name"`
		Arguments  json.RawMessage `json:"arguments"`
		Parameters json.RawMessage `json:"parameters"`
	}
	var w struct {
		function
		ID    any      `json:"id"`
		Inner function `json:"function"`
	}
	if json.Unmarshal(value, &w) != nil {
		return c, false
	}
	f := w.function
	if f.Name == "" {
		f = w.Inner
	}
	if f.Arguments == nil {
		f.Arguments = f.Parameters
	}
	if f.Name == "" || strict && f.Arguments == nil {
		return c, false
	}
	c = ToolCall{Name: f.Name, Arguments: argumentText(f.Arguments)}
	c.ID, _ = w.ID.(string)
	switch text := strings.TrimSpace(c.Arguments); {
	case text == "" || text == "null":
		c.Arguments = "{}"
	case text[0] != '{' || !json.Valid([]byte(text)):
		return c, false
	}
	return c, true
}

// A jsonScan finds the end of a JSON value in a text that grows, looking at
// every byte once.
type jsonScan struct {
	at      int // bytes that were looked at
	depth   int
	quoted  bool
	escaped bool
}

// value is the end of the object or list that begins at from.
func (s *jsonScan) value(b []byte, from int) (int, verdict) {
	if s.at <= from {
		if from >= len(b) {
			return 0, unknown
		}
		if b[from] != '{' && b[from] != '[' {
			return 0, wrong
		}
		s.at = from
	}
	for s.depth > 0 || s.at == from {
		if s.at == len(b) {
			return 0, unknown
		}
		c := b[s.at]
		s.at++
		switch {
		case s.escaped:
			s.escaped = false
		case s.quoted:
			s.escaped, s.quoted = c == '\\', c != '"'
		case c == '"':
			s.quoted = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			s.depth--
		}
	}
	return s.at, yes
}

// beginsObject says whether a text begins with an object that has a key, or
// with a list of such: "[Scene: a beach" is no reason to hold an answer back.
func beginsObject(b []byte) verdict {
	for _, want := range `[{"` {
		b = b[blanks(b):]
		switch {
		case len(b) == 0:
			return unknown
		case rune(b[0]) == want:
			b = b[1:]
		case want != '[':
			return wrong
		}
	}
	return yes
}
