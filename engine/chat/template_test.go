package chat_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/engine/chat"
)

const jinjaData = "../../internal/jinja/testdata/"

func source(t *testing.T, name string) string {
	t.Helper()
	s, err := os.ReadFile(jinjaData + "templates/" + name + ".jinja")
	if err != nil {
		t.Fatal(err)
	}
	return string(s)
}

func parse(t *testing.T, name string) *chat.Template {
	t.Helper()
	tm, err := chat.Parse(map[string]string{"": source(t, name)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

// toolless templates do not know of tools.
var toolless = []string{"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "google-gemma-2-2b-it", "microsoft-Phi-3.5-mini-instruct"}

// TestRender renders the chats that jinja2 rendered (golden.py there), from
// their JSON through Message and Tool. What is left out cannot be said with
// these types (other roles, contents that are no texts) or means something
// else here: an empty list of tools is none, a developer is the system where
// the template has none.
func TestRender(t *testing.T) {
	f, err := os.Open(jinjaData + "golden.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Cases   map[string]map[string]json.RawMessage
		Results map[string]map[string]json.RawMessage
	}
	if err := json.NewDecoder(z).Decode(&g); err != nil {
		t.Fatal(err)
	}
	cases := []string{"user", "system", "chat", "system and chat", "long chat", "no generation prompt", "ends with assistant",
		"thinking on", "thinking off", "tools", "tools and system", "tools not in user message", "builtin tools",
		"tool call", "tool call and answer", "tool call with empty content", "tool call with content", "tool calls",
		"tool call with short id", "tool call without tools", "tool first", "two users", "assistant first", "system last",
		"documents", "tool responses of users", "tags in content", "reasoning"}
	for name, results := range g.Results {
		tm := parse(t, name)
		for _, c := range cases {
			want, vars := results[c], g.Cases[c]
			if want == nil {
				t.Fatalf("no case %q", c)
			}
			if strings.HasPrefix(name, "deepseek") && (c == "tool calls" || strings.HasPrefix(c, "tool call with")) {
				continue // jinja2 got "" as content, with which this template drops the calls: see TestForms
			}
			if strings.Contains(c, "tool") && c != "tool responses of users" && slices.Contains(toolless, name) {
				continue // jinja2 leaves tools out: see TestPlainTools
			}
			t.Run(name+"/"+c, func(t *testing.T) { golden(t, tm, name, c, vars, want) })
		}
	}
}

func golden(t *testing.T, tm *chat.Template, name, c string, vars map[string]json.RawMessage, want json.RawMessage) {
	var messages []chat.Message
	var tools []chat.Tool
	o := chat.Options{Now: time.Date(2024, 2, 29, 7, 5, 9, 123456000, time.UTC), Variables: map[string]json.RawMessage{}}
	for k, v := range vars {
		var err error
		switch k {
		case "messages":
			err = json.Unmarshal(v, &messages)
		case "tools":
			err = json.Unmarshal(v, &tools)
		case "add_generation_prompt":
			err = json.Unmarshal(v, &o.AddGenerationPrompt)
		default:
			o.Variables[k] = v
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := tm.Render(messages, tools, o)
	var text string
	if want[0] == '"' {
		if err := json.Unmarshal(want, &text); err != nil {
			t.Fatal(err)
		}
		if err != nil || got != text {
			t.Errorf("got  %q, error %v\nwant %q", got, err, text)
		}
		return
	}
	var failure struct{ Error, Message string }
	if err := json.Unmarshal(want, &failure); err != nil {
		t.Fatal(err)
	}
	var refused *chat.RefusedError
	if failure.Error == "raise" {
		if !errors.As(err, &refused) || refused.Message != failure.Message {
			t.Errorf("got %q, error %v; want refusal %q", got, err, failure.Message)
		}
		return
	}
	t.Logf("jinja2: %s %s; here %q, error %v", failure.Error, failure.Message, got, err)
}

// TestForms renders what jinja2 has errors for because OpenAI's API leaves it
// open: arguments as text or object, no content as null or "".
func TestForms(t *testing.T) {
	call := []chat.ToolCall{{ID: "abcdefghi", Name: "f", Arguments: `{"b": 1, "a": "ü<"}`}}
	messages := []chat.Message{{Role: chat.User, Content: "hi"}, {Role: chat.Assistant, ToolCalls: call}}
	for name, want := range map[string]string{
		"deepseek-ai-DeepSeek-R1-Distill-Llama-8B": "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n" + `{"b": 1, "a": "ü<"}` + "\n```<｜tool▁call▁end｜>",
		"Qwen-Qwen3-0.6B":                          `<tool_call>` + "\n" + `{"name": "f", "arguments": {"b": 1, "a": "ü<"}}` + "\n</tool_call>",
		"Qwen-Qwen2.5-7B-Instruct":                 `<tool_call>` + "\n" + `{"name": "f", "arguments": {"b": 1, "a": "ü<"}}` + "\n</tool_call>",
		"mistralai-Mistral-Nemo-Instruct-2407":     `[TOOL_CALLS][{"name": "f", "arguments": {"b": 1, "a": "ü<"}, "id": "abcdefghi"}]`,
		"meta-llama-Llama-3.2-3B-Instruct":         `{"name": "f", "parameters": {"b": 1, "a": "ü<"}}`,
	} {
		got, err := parse(t, name).Render(messages, nil, chat.Options{Variables: map[string]json.RawMessage{"eos_token": json.RawMessage(`"</s>"`)}})
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, error %v\nwant it to hold %q", name, got, err, want)
		}
	}
}

// TestRunaway: templates that do not end are stopped, and say so.
func TestRunaway(t *testing.T) {
	for name, source := range map[string]string{
		"loops":  "{% for i in range(99999) %}{% for j in range(99999) %}{{ messages[0].content }}{% endfor %}{% endfor %}",
		"nests":  "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
		"prints": "{% set s = 'x' * 10**7 %}{% for i in range(99999) %}{{ s }}{% endfor %}",
	} {
		t.Run(name, func(t *testing.T) {
			tm, err := chat.Parse(map[string]string{"": source}, nil)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = tm.Render([]chat.Message{{Role: chat.User, Content: "hi"}}, nil, chat.Options{})
			var wrong *chat.Error
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "template stopped") {
				t.Errorf("error %v", err)
			}
			t.Logf("after %s", time.Since(start))
		})
	}
}

// TestMistakes: what cannot be rendered is the caller's mistake, and named.
func TestMistakes(t *testing.T) {
	user := chat.Message{Role: chat.User, Content: "hi"}
	for name, c := range map[string]struct {
		messages []chat.Message
		tools    []chat.Tool
		o        chat.Options
		want     string
	}{
		"none":     {nil, nil, chat.Options{}, "chat: messages: there are none"},
		"role":     {[]chat.Message{user, {Role: "<|im_start|>"}}, nil, chat.Options{}, `chat: message 1: role "<|im_start|>": want system, developer, user`},
		"image":    {[]chat.Message{{Role: chat.User, Parts: []chat.Part{{Type: "image_url"}}}}, nil, chat.Options{}, `chat: message 0: a content part of type "image_url"`},
		"tool":     {[]chat.Message{user}, []chat.Tool{{Name: "f", Parameters: json.RawMessage("{")}}, chat.Options{}, "chat: tool 0: "},
		"variable": {[]chat.Message{user}, nil, chat.Options{Variables: map[string]json.RawMessage{"a": json.RawMessage("{")}}, `chat: variable "a": unexpected end`},
	} {
		t.Run(name, func(t *testing.T) {
			var wrong *chat.Error
			text, err := parse(t, "Qwen-Qwen3-0.6B").Render(c.messages, c.tools, c.o)
			if !errors.As(err, &wrong) || !strings.HasPrefix(err.Error(), c.want) || text != "" {
				t.Errorf("got %q, error %v; want %s", text, err, c.want)
			}
		})
	}
}

// TestNamedTemplates: tool_use is for prompts with tools.
func TestNamedTemplates(t *testing.T) {
	both := map[string]string{"": "plain {{ messages[0].content }}", "tool_use": "tools {{ messages[0].content }}"}
	user, tools := []chat.Message{{Role: chat.User, Content: "hi"}}, []chat.Tool{{Name: "f"}}
	for name, c := range map[string]struct {
		sources           map[string]string
		without, withTool string
	}{
		"both":      {both, "plain hi", "tools hi"},
		"default":   {map[string]string{"default": "d {{ messages[0].content }}{% if tools %}{% endif %}"}, "d hi", "d hi"},
		"tool_use":  {map[string]string{"tool_use": "t {{ messages[0].content }}{% if tools %}{% endif %}"}, "t hi", "t hi"},
		"none":      {nil, "hi", "hi"},
		"for parts": {map[string]string{"": "{{ messages[0].content[0].text if messages[0].content is not string }}{% if tools %}{% endif %}"}, "hi", "hi"},
	} {
		t.Run(name, func(t *testing.T) {
			tm, err := chat.Parse(c.sources, nil)
			if err != nil {
				t.Fatal(err)
			}
			for want, tools := range map[string][]chat.Tool{c.without: nil, c.withTool: tools} {
				if got, err := tm.Render(user, tools, chat.Options{}); got != want || err != nil {
					t.Errorf("got %q, error %v; want %q", got, err, want)
				}
			}
			if tm.Completion() != (name == "none") {
				t.Errorf("completion: %v", tm.Completion())
			}
		})
	}
	if _, err := chat.Parse(map[string]string{"": "{% if %}"}, nil); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a broken template: error %v", err)
	}
}

// TestPlainTools: who has no words for tools reads them as text, and writes
// what NewParser reads.
func TestPlainTools(t *testing.T) {
	tools := []chat.Tool{{Name: "f", Raw: json.RawMessage(`{"type": "function", "function": {"name": "f"}}`)}, {Name: "g"}}
	calls := []chat.ToolCall{{ID: "1", Name: "f", Arguments: `{"a": "<b>"}`}, {ID: "2", Name: "g", Arguments: `{}`}}
	messages := []chat.Message{{Role: chat.User, Content: "hi"}, {Role: chat.Assistant, Content: "Well.", ToolCalls: calls},
		{Role: chat.ToolRole, Content: "1", Name: "f", ToolCallID: "1"}, {Role: chat.ToolRole, Content: "2", ToolCallID: "2"}}
	const wantCalls = `[{"name":"f","arguments":{"a":"<b>"}}, {"name":"g","arguments":{}}]`
	got, err := parse(t, "google-gemma-2-2b-it").Render(messages, tools, chat.Options{AddGenerationPrompt: true})
	for _, want := range []string{"<start_of_turn>user\nYou can call these functions:\n" + `{"type":"function","function":{"name":"f"}}` + "\n" +
		`{"type":"function","function":{"name":"g"}}` + "\n", "\n\nhi<end_of_turn>\n<start_of_turn>model\nWell.\n" + wantCalls + "<end_of_turn>\n" +
		"<start_of_turn>user\nResult of f: 1\nResult: 2<end_of_turn>\n<start_of_turn>model\n"} {
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("got %q, error %v\nwant it to hold %q", got, err, want)
		}
	}
	m := read(t, parse(t, "google-gemma-2-2b-it"), got, tools, []string{wantCalls})
	if len(m.ToolCalls) != 2 || m.ToolCalls[0].Arguments != `{"a":"<b>"}` || m.Content != "" {
		t.Errorf("read back: %+v", m)
	}
	if len(messages[1].ToolCalls) != 2 || messages[0].Content != "hi" {
		t.Errorf("the messages were changed: %+v", messages)
	}
}
