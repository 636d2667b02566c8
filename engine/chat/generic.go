package chat

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Templates of models that were not made for tools leave definitions, calls
// and results out. Such models get all of it as text, and often manage: the
// definitions in front of the first message, calls as the JSON that readBare
// reads, results as a message of the user's.

var (
	namesTools = regexp.MustCompile(`\btools\b`)
	namesCalls = regexp.MustCompile(`\btool_calls\b`)
)

const toolsIntro = `You can call these functions:
%s
To call one, answer with nothing but JSON: {"name": its name, "arguments": {…}}; to call several, with a list of such objects. Their results come in the next message. If no function is needed, answer in words.

`

// plainTools are messages without what the template cannot say.
func (t *Template) plainTools(messages []Message, tools []Tool) ([]Message, error) {
	if t.completion || len(messages) == 0 {
		return messages, nil
	}
	if !namesCalls.MatchString(t.source) {
		messages = plainCalls(messages)
	}
	if len(tools) == 0 || namesTools.MatchString(t.source) {
		return messages, nil
	}
	var lines []string
	for i, tool := range tools {
		raw, err := encode(tool)
		if err != nil {
			return nil, &Error{fmt.Sprintf("tool %d", i), err}
		}
		lines = append(lines, string(raw))
	}
	messages = slices.Clone(messages)
	first := &messages[0]
	first.Content = fmt.Sprintf(toolsIntro, strings.Join(lines, "\n")) + first.Content
	first.Parts = nil
	return messages, nil
}

// plainCalls writes calls and results as text.
func plainCalls(messages []Message) []Message {
	var out []Message
	for i, m := range messages {
		switch {
		case len(m.ToolCalls) > 0:
			text := callsText(m.ToolCalls)
			if m.Content != "" {
				text = m.Content + "\n" + text
			}
			m.Content, m.Parts, m.ToolCalls = text, nil, nil
		case m.Role == ToolRole || m.Role == Function:
			text := "Result"
			if name := strings.TrimSpace(m.Name); name != "" {
				text += " of " + name
			}
			text += ": " + m.Content
			if i > 0 && (messages[i-1].Role == ToolRole || messages[i-1].Role == Function) {
				out[len(out)-1].Content += "\n" + text
				continue
			}
			m = Message{Role: User, Content: text}
		}
		out = append(out, m)
	}
	return out
}

// callsText is calls as readBare reads them.
func callsText(calls []ToolCall) string {
	type call struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	var all []string
	for _, c := range calls {
		arguments := json.RawMessage(c.Arguments)
		if !json.Valid(arguments) {
			arguments, _ = encode(c.Arguments)
		}
		text, _ := encode(call{c.Name, arguments})
		all = append(all, string(text))
	}
	if len(all) == 1 {
		return all[0]
	}
	return "[" + strings.Join(all, ", ") + "]"
}
