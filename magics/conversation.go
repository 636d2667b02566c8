package magics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
)

// A conversation is what %chat has in mind. It belongs to no model.
type conversation struct {
	messages []chat.Message // a copy shares them: append only to a clipped one
	tools    []chat.Tool
	thinking *bool

	leftOut   int    // messages that no longer fit
	leftOf    reach  // what they do not fit into
	completes string // the model that was said to have no template
}

// A reach is a model and the tokens that it sees.
type reach struct {
	model  string
	tokens int
}

func (l *loaded) reach() reach {
	if l.endpoint != nil {
		return reach{model: l.name}
	}
	return reach{l.name, l.model.Info().Context}
}

// left is how many messages l is known not to see. Those that did not fit into
// another's context may fit into its.
func (v *conversation) left(l *loaded) int {
	if l == nil || v.leftOf != l.reach() {
		return 0
	}
	return v.leftOut
}

// system is what the model is told first, and whether there is such a message.
func (v *conversation) system() (string, bool) {
	if len(v.messages) > 0 && v.messages[0].Role == chat.System {
		return v.messages[0].Content, true
	}
	return "", false
}

// with is v with what the flags of a call set.
func (v conversation) with(c *Call) (conversation, error) {
	v.messages = slices.Clip(v.messages)
	if c.Flags.Changed("system") {
		text, _ := c.Flags.GetString("system")
		rest := v.messages
		if _, ok := v.system(); ok {
			rest = rest[1:]
		}
		v.messages = nil
		if text != "" {
			v.messages = []chat.Message{{Role: chat.System, Content: text}}
		}
		v.messages = append(v.messages, rest...)
	}
	if c.Flags.Changed("tools") {
		file, _ := c.Flags.GetString("tools")
		tools, err := readTools(c, file)
		if err != nil {
			return v, err
		}
		v.tools = tools
	}
	think, no := c.Flags.Changed("think"), c.Flags.Changed("no-think")
	if think && no {
		return v, c.usage("--think and --no-think exclude each other")
	}
	if think || no {
		v.thinking = &think
	}
	return v, nil
}

// add adds what the user says, or the result of a tool, and returns the calls
// that still wait for theirs.
func (v *conversation) add(c *Call, text string) ([]chat.ToolCall, error) {
	waiting := v.waiting()
	id, _ := c.Flags.GetString("tool-result")
	switch {
	case !c.Flags.Changed("tool-result") && len(waiting) > 0:
		return nil, c.usage("the model waits for %s; %%%%chat --tool-result %s gives a result, %%chat undo takes the turn back", callNames(waiting), waiting[0].ID)
	case !c.Flags.Changed("tool-result"):
		v.messages = append(v.messages, chat.Message{Role: chat.User, Content: text})
		return nil, nil
	case len(waiting) == 0:
		return nil, c.usage("--tool-result %s: the model waits for no result", id)
	}
	i := slices.IndexFunc(waiting, func(t chat.ToolCall) bool { return t.ID == id })
	if i < 0 {
		return nil, c.usage("--tool-result %s: the model waits for %s", id, callNames(waiting))
	}
	v.messages = append(v.messages, chat.Message{Role: chat.ToolRole, Content: text, ToolCallID: id, Name: waiting[i].Name})
	return slices.Delete(waiting, i, i+1), nil
}

// waiting are the calls of the last answer that have no result.
func (v *conversation) waiting() []chat.ToolCall {
	done := map[string]bool{}
	for _, m := range slices.Backward(v.messages) {
		switch m.Role {
		case chat.ToolRole:
			done[m.ToolCallID] = true
		case chat.Assistant:
			return slices.DeleteFunc(slices.Clone(m.ToolCalls), func(t chat.ToolCall) bool { return done[t.ID] })
		default:
			return nil
		}
	}
	return nil
}

// callNames lists calls: "get_weather (id)".
func callNames(calls []chat.ToolCall) string {
	var names []string
	for _, t := range calls {
		names = append(names, fmt.Sprintf("%s (%s)", t.Name, t.ID))
	}
	return strings.Join(names, ", ")
}

// settings is a line on what is set.
func (v *conversation) settings() string {
	var parts []string
	if s, ok := v.system(); ok {
		parts = append(parts, "system: "+s)
	}
	if len(v.tools) > 0 {
		var names []string
		for _, t := range v.tools {
			names = append(names, t.Name)
		}
		parts = append(parts, "tools: "+strings.Join(names, ", "))
	}
	if v.thinking != nil && *v.thinking {
		parts = append(parts, "the model thinks before it answers")
	} else if v.thinking != nil {
		parts = append(parts, "the model answers at once")
	}
	if len(parts) == 0 {
		return "no system message, no tools"
	}
	return strings.Join(parts, "\n")
}

// chatCommand is the command that a line of %chat is, or nil.
func (c *Call) chatCommand(text string) func() error {
	words, err := splitWords(text)
	if err != nil || len(words) == 0 {
		return nil
	}
	switch {
	case text == "new":
		return c.newTalk
	case text == "show":
		return c.showTalk
	case text == "undo":
		return c.undoTalk
	case len(words) == 2 && words[0] == "save":
		return func() error { return c.saveTalk(catalog.InHome(words[1])) }
	case len(words) == 2 && words[0] == "load":
		return func() error { return c.loadTalk(catalog.InHome(words[1])) }
	case text == "save" || text == "load":
		return func() error {
			return c.usage("%s FILE.json: the file is missing; as a message it goes into a cell of %%%%chat", text)
		}
	}
	return nil
}

func (c *Call) newTalk() error {
	v, err := conversation{}.with(c)
	if err != nil {
		return err
	}
	old := len(c.talk.messages)
	c.talk = v
	text := "a new conversation"
	if old > 0 {
		text += "; the former one had " + count(old, "message")
	}
	if len(v.messages) > 0 || len(v.tools) > 0 || v.thinking != nil {
		text += "\n" + v.settings()
	}
	fmt.Fprintln(c.Display.Stdout(), text)
	return nil
}

func (c *Call) undoTalk() error {
	v := &c.talk
	for i, m := range slices.Backward(v.messages) {
		if m.Role == chat.User {
			taken := len(v.messages) - i
			v.messages = v.messages[:i:i]
			v.leftOut = 0 // there is room again
			fmt.Fprintf(c.Display.Stdout(), "took back %s: %s\n", count(taken, "message"), firstLine(m.Content))
			return nil
		}
	}
	return c.usage("nothing was said that could be taken back")
}

// firstLine shortens a text to a line.
func firstLine(s string) string {
	s, rest, _ := strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	if rest != "" {
		return s + " …"
	}
	return s
}

// A savedTalk is the file of a conversation: the part of a request of OpenAI's
// API that it is.
type savedTalk struct {
	Messages []chat.Message `json:"messages"`
	Tools    []chat.Tool    `json:"tools,omitempty"`
}

// saveTalk writes a file beside the old one first, so that neither is lost.
func (c *Call) saveTalk(path string) error {
	if len(c.talk.messages) == 0 {
		return c.usage("nothing was said that could be saved")
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(savedTalk{c.talk.messages, c.talk.tools}); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".chat-*")
	if err != nil {
		return &jupyter.Error{Name: "FileError", Value: fmt.Sprintf("%s cannot be written: %v", path, err)}
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b.Bytes())
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return &jupyter.Error{Name: "FileError", Value: fmt.Sprintf("%s cannot be written: %v", path, err)}
	}
	fmt.Fprintf(c.Display.Stdout(), "saved %s to %s\n", count(len(c.talk.messages), "message"), path)
	return nil
}

// loadTalk reads what saveTalk wrote, or a bare list of messages.
func (c *Call) loadTalk(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return &jupyter.Error{Name: "FileError", Value: fmt.Sprintf("%s cannot be read: %v", path, err)}
	}
	var saved savedTalk
	if strings.HasPrefix(strings.TrimSpace(string(data)), "[") {
		err = json.Unmarshal(data, &saved.Messages)
	} else {
		err = json.Unmarshal(data, &saved)
	}
	for i := range saved.Messages {
		if e := saved.Messages[i].Check(); e != nil && err == nil {
			err = fmt.Errorf("message %d: %w", i, e)
		}
	}
	if err == nil && len(saved.Messages) == 0 {
		err = fmt.Errorf("no messages in it")
	}
	if err != nil {
		return &jupyter.Error{Name: "FileError", Value: fmt.Sprintf("%s is no conversation: %v; want {\"messages\": [{\"role\": …, \"content\": …}, …]}", path, err)}
	}
	c.talk = conversation{messages: saved.Messages, tools: saved.Tools}
	fmt.Fprintf(c.Display.Stdout(), "loaded %s from %s\n", count(len(saved.Messages), "message"), path)
	return nil
}
