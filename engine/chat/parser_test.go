package chat_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine/chat"
)

// A parseCase is a text that a model writes, and what it means. The forms are
// those that the models' makers publish; see the functions of calls.go.
type parseCase struct {
	Name     string
	Template string // of jinja's testdata, or the source itself
	Prompt   string // what the rendered prompt ends with
	Tools    []string
	Text     string

	Reasoning, Content string
	Calls              []string // name and arguments
}

func cases(t testing.TB) (all []parseCase) {
	t.Helper()
	data, err := os.ReadFile("testdata/parse.json")
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (c *parseCase) template(t testing.TB) *chat.Template {
	t.Helper()
	source := c.Template
	if data, err := os.ReadFile(jinjaData + "templates/" + c.Template + ".jinja"); err == nil {
		source = string(data)
	}
	tm, err := chat.Parse(map[string]string{"": source}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

// read parses a text in pieces and checks that the events are sound: their raw
// text is the text, calls begin and end in order.
func read(t testing.TB, tm *chat.Template, prompt string, tools []chat.Tool, pieces []string) chat.Message {
	t.Helper()
	p := tm.NewParser(prompt, tools)
	var events []chat.Event
	for _, s := range pieces {
		events = append(events, p.Push(s)...)
	}
	events = append(events, p.Close()...)
	var c chat.Collector
	var raw strings.Builder
	open, arguments := -1, ""
	for _, e := range events {
		c.Add(e)
		raw.WriteString(e.Raw)
		switch e.Kind {
		case chat.CallStart:
			if open, arguments = e.Call, ""; e.Tool.Name == "" || e.Tool.ID == "" || e.Call != len(c.Message.ToolCalls) {
				t.Errorf("call %d starts as %+v behind %d calls", e.Call, e.Tool, len(c.Message.ToolCalls))
			}
		case chat.CallArguments:
			arguments += e.Text
		case chat.CallEnd:
			if open != e.Call || arguments != e.Tool.Arguments || !json.Valid([]byte(arguments)) {
				t.Errorf("call %d ends as %+v; call %d had begun, with arguments %q", e.Call, e.Tool, open, arguments)
			}
		case chat.ReasoningDelta, chat.ContentDelta:
			if e.Text == "" {
				t.Errorf("an empty delta: %+v", e)
			}
		}
	}
	if whole := strings.Join(pieces, ""); raw.String() != whole {
		t.Errorf("the events' raw texts are\n%q, want\n%q", raw.String(), whole)
	}
	return c.Message
}

func TestParser(t *testing.T) {
	for _, c := range cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			tm := c.template(t)
			var tools []chat.Tool
			for _, name := range c.Tools {
				tools = append(tools, chat.Tool{Name: name})
			}
			for size := len(c.Text) + 1; size > 0; size = size*2/3 - 1 {
				var pieces []string
				for rest := c.Text; rest != ""; {
					n := min(size, len(rest))
					pieces, rest = append(pieces, rest[:n]), rest[n:]
				}
				m := read(t, tm, c.Prompt, tools, pieces)
				var calls []string
				for _, call := range m.ToolCalls {
					calls = append(calls, call.Name+" "+call.Arguments)
				}
				got := fmt.Sprintf("%q %q %q", m.Reasoning, m.Content, calls)
				if want := fmt.Sprintf("%q %q %q", c.Reasoning, c.Content, c.Calls); got != want {
					t.Errorf("in pieces of %d bytes:\n got %s\nwant %s", size, got, want)
				}
			}
		})
	}
}

// TestParserAtOnce: an answer is not held back for what cannot be a call.
func TestParserAtOnce(t *testing.T) {
	for template, texts := range map[string][]string{
		"Qwen-Qwen3-0.6B":                  {"Hello", "[Scene: a beach", "{ x", "a < b", "<b>", "[1, 2", "`code`", "<think>Hm", "<tool_call>no"},
		"google-gemma-2-2b-it":             {"```go\nfunc", "[ [", "{{"},
		"openai-gpt-oss-120b":              {"<|channel|>final<|message|>Hm", "<|channel|>analysis<|message|>Hm", "Hm"},
		"meta-llama-Llama-3.1-8B-Instruct": {"<function=f>x"},
	} {
		for _, text := range texts {
			p := parse(t, template).NewParser("", []chat.Tool{{Name: "f"}})
			said := ""
			for _, e := range p.Push(text) {
				said += e.Text
			}
			if said == "" || !strings.HasSuffix(text, said) {
				t.Errorf("%s: of %q comes %q", template, text, said)
			}
		}
	}
}

// TestParserHostile parses what would take the square of its length, hours,
// if any of it were looked at again and again.
func TestParserHostile(t *testing.T) {
	const n = 1 << 17
	for name, c := range map[string][2]string{
		"text":      {"Qwen-Qwen3-0.6B", strings.Repeat("a b ", n/4)},
		"blanks":    {"Qwen-Qwen3-0.6B", strings.Repeat(" ", n)},
		"thinking":  {"Qwen-Qwen3-0.6B", "<think>" + strings.Repeat("a b ", n/4)},
		"call":      {"Qwen-Qwen3-0.6B", "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"" + strings.Repeat("x", n)},
		"xml":       {"Qwen-Qwen3-0.6B", "<tool_call><function=f><parameter=a>" + strings.Repeat("x<", n/2)},
		"tags":      {"Qwen-Qwen3-0.6B", strings.Repeat("<tool_call>", n/11)},
		"tags{":     {"Qwen-Qwen3-0.6B", strings.Repeat("<tool_call>{", n/12)},
		"mistral":   {"mistralai-Mistral-Nemo-Instruct-2407", strings.Repeat("[TOOL_CALLS]f", n/13)},
		"mistral{":  {"mistralai-Mistral-Nemo-Instruct-2407", strings.Repeat("[TOOL_CALLS]f{", n/14)},
		"python":    {"meta-llama-Llama-3.1-8B-Instruct", "<|python_tag|>" + strings.Repeat("print(1)\n", n/9)},
		"pythons":   {"meta-llama-Llama-3.1-8B-Instruct", strings.Repeat("<|python_tag|>", n/14)},
		"python{":   {"meta-llama-Llama-3.1-8B-Instruct", strings.Repeat("<|python_tag|>{", n/15)},
		"fence":     {"google-gemma-2-2b-it", "```json\n" + strings.Repeat("[", n)},
		"brackets":  {"google-gemma-2-2b-it", strings.Repeat("[", n)},
		"fences":    {"google-gemma-2-2b-it", strings.Repeat("`", n)},
		"deepseek":  {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", strings.Repeat("<｜tool▁call▁begin｜>x", n/24)},
		"harmony":   {"openai-gpt-oss-120b", "<|channel|>commentary to=functions.f<|message|>" + strings.Repeat("x", n)},
		"harmonies": {"openai-gpt-oss-120b", strings.Repeat("<|channel|>analysis<|message|>x<|end|><|start|>", n/50)},
		"header":    {"openai-gpt-oss-120b", strings.Repeat("<|channel|>", n/11)},
	} {
		t.Run(name, func(t *testing.T) {
			var pieces []string
			for rest := c[1]; rest != ""; {
				k := min(7, len(rest))
				pieces, rest = append(pieces, rest[:k]), rest[k:]
			}
			read(t, parse(t, c[0]), "", []chat.Tool{{Name: "f"}}, pieces)
		})
	}
}

// FuzzParser parses any text, cut in two ways: the same comes out.
func FuzzParser(f *testing.F) {
	var templates []*chat.Template
	for i, c := range cases(f) {
		templates = append(templates, c.template(f))
		f.Add(uint8(i), c.Prompt, c.Text, uint16(i))
	}
	tools := []chat.Tool{{Name: "f"}, {Name: "get_weather"}, {Name: "python"}}
	f.Fuzz(func(t *testing.T, which uint8, prompt, text string, cut uint16) {
		text = strings.ToValidUTF8(text, "\ufffd")
		tm := templates[int(which)%len(templates)]
		whole := read(t, tm, prompt, tools, []string{text})
		at := int(cut) % (len(text) + 1)
		for at < len(text) && text[at]&0xc0 == 0x80 {
			at++
		}
		halves := read(t, tm, prompt, tools, []string{text[:at], text[at:]})
		single := read(t, tm, prompt, tools, strings.Split(text, ""))
		for _, other := range []chat.Message{halves, single} {
			if a, b := say(whole), say(other); a != b {
				t.Errorf("whole: %s\ncut at %d: %s", a, at, b)
			}
		}
	})
}

// say is a message without the ids, which are random.
func say(m chat.Message) string {
	for i := range m.ToolCalls {
		if len(m.ToolCalls[i].ID) == 9 {
			m.ToolCalls[i].ID = ""
		}
	}
	return fmt.Sprintf("%+v", m)
}
