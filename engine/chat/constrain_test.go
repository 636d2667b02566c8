package chat_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/grammar"
)

// byteTokens is a vocabulary of bytes, and one end.
type byteTokens struct{}

func (byteTokens) Len() int { return 257 }
func (byteTokens) Piece(id int32) []byte {
	if id == 256 {
		return nil
	}
	return []byte{byte(id)}
}
func (byteTokens) IsEOG(id int32) bool { return id == 256 }

// walk writes a text of g at random, which prefers some texts where they may
// follow.
func walk(t *testing.T, g *grammar.Grammar, r *rand.Rand, prefer ...string) string {
	t.Helper()
	x := grammar.NewMachine(g, grammar.NewVocabulary(byteTokens{})).Matcher()
	logits := make([]float32, 257)
	for n := range 3000 {
		if x.Done() || x.MayEnd() && r.IntN(3) == 0 {
			return string(x.Text())
		}
		if s := prefer[r.IntN(len(prefer))]; n%8 == 7 || n > 500 {
			y := x.Clone()
			ok := true
			for i := 0; i < len(s) && ok; i++ {
				ok = y.Accept(int32(s[i])) == nil
			}
			if ok {
				x = y
				continue
			}
		}
		clear(logits)
		x.Mask(logits)
		id := r.Int32N(256)
		for i := 0; math.IsInf(float64(logits[id]), -1) && i < 257; i++ {
			id = (id + 1) % 257
		}
		if err := x.Accept(id); err != nil {
			t.Fatal(err)
		}
		if id == 256 {
			return string(x.Text())
		}
	}
	t.Fatalf("no end: %q", x.Text())
	return ""
}

var weather = []chat.Tool{
	{Name: "get_weather", Parameters: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string","maxLength":9},"days":{"type":"integer","minimum":1,"maximum":7}},"required":["city"]}`)},
	{Name: "stop.all"},
}

// TestToolGrammar: what the grammar of each family's calls has, the parser
// reads as calls of these tools, with arguments as the schema wants them.
func TestToolGrammar(t *testing.T) {
	files, err := filepath.Glob(jinjaData + "templates/*.jinja")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	called, several := 0, 0
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		tm, err := chat.Parse(map[string]string{"": string(data)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []chat.ToolChoice{{Required: true}, {Required: true, Parallel: true}, {Required: true, Name: "get_weather"}, {Parallel: true}} {
			g, err := tm.ToolGrammar("", weather, c)
			if strings.Contains(string(data), "<|channel|>") {
				if err == nil {
					t.Errorf("%s: calls of gpt-oss are no error", name)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if g == nil {
				if c.Required {
					t.Errorf("%s: no grammar", name)
				}
				continue
			}
			r := rand.New(rand.NewPCG(uint64(i), 5))
			for range 6 {
				text := walk(t, g, r, "</think>", "<tool_call>", "[TOOL_CALLS]", "<|tool_call|>", "<｜tool▁calls▁begin｜>", `"}`, `"`, "]")
				m := read(t, tm, "", weather, []string{text})
				if c.Required && (len(m.ToolCalls) == 0 || strings.TrimSpace(m.Content) != "") || !c.Parallel && len(m.ToolCalls) > 1 {
					t.Errorf("%s %+v: %q is read as %+v", name, c, text, m)
				}
				called += len(m.ToolCalls)
				if len(m.ToolCalls) > 1 {
					several++
				}
				for _, call := range m.ToolCalls {
					checkCall(t, name, call, c)
				}
			}
		}
	}
	if called < 100 || several < 5 {
		t.Errorf("%d calls, %d answers with several", called, several)
	}
}

func checkCall(t *testing.T, name string, call chat.ToolCall, c chat.ToolChoice) {
	t.Helper()
	var v struct {
		City *string
		Days *int
	}
	d := json.NewDecoder(strings.NewReader(call.Arguments))
	d.DisallowUnknownFields()
	err := d.Decode(&v)
	switch {
	case call.Name == "get_weather" && err == nil && v.City != nil && len([]rune(*v.City)) <= 9 && (v.Days == nil || *v.Days >= 1 && *v.Days <= 7):
	case call.Name == "stop.all" && c.Name == "" && call.Arguments == "{}":
	default:
		t.Errorf("%s: call %+v: %v", name, call, err)
	}
}

func TestToolGrammarRefusals(t *testing.T) {
	tm, err := chat.Parse(map[string]string{"": "{% for m in messages %}{{ m.content }}{% endfor %}<tool_call>"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	odd := []chat.Tool{{Name: "f", Parameters: json.RawMessage(`{"type":"object","properties":{"a":{"not":{}}},"required":["a"]}`)}}
	for want, c := range map[string]struct {
		tools  []chat.Tool
		choice chat.ToolChoice
	}{
		"tool 0 (f): parameters: grammar: schema: #/properties/a: not: ": {odd, chat.ToolChoice{}},
		`no tool "g"`:   {weather, chat.ToolChoice{Name: "g"}},
		`name "a b"`:    {[]chat.Tool{{Name: "a b"}}, chat.ToolChoice{}},
		`name "a\"b\n"`: {[]chat.Tool{{Name: "a\"b\n"}}, chat.ToolChoice{}},
	} {
		if _, err := tm.ToolGrammar("", c.tools, c.choice); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	g, err := tm.ToolGrammar("", odd, chat.ToolChoice{Loose: true, Required: true})
	if err != nil || g.Matches("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": [1]}}\n</tool_call>") != nil {
		t.Errorf("loose: %v", err)
	}
}

// TestToolGrammarSize: a hundred tools with the longest texts are not looked at
// all: it would take a minute, and gigabytes.
func TestToolGrammarSize(t *testing.T) {
	tm, err := chat.Parse(map[string]string{"": "{% for m in messages %}{{ m.content }}{% endfor %}<tool_call>"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	tools := make([]chat.Tool, 128)
	for i := range tools {
		tools[i] = chat.Tool{Name: fmt.Sprint("f", i), Parameters: json.RawMessage(`{"type":"object","properties":{"a":{"type":"string","maxLength":50000}},"required":["a"]}`)}
	}
	if _, err := tm.ToolGrammar("", tools, chat.ToolChoice{Required: true}); err == nil || !strings.Contains(err.Error(), "too large together") {
		t.Errorf("error %v", err)
	}
	g, err := tm.ToolGrammar("", tools, chat.ToolChoice{Required: true, Loose: true})
	if err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{
		"<tool_call>\n{\"name\": \"f0\", \"arguments\": {\"a\": \"x\"}}\n</tool_call>":   true,
		"<tool_call>\n{\"name\": \"f0\", \"arguments\": {\"a\": 5}}\n</tool_call>":       false,
		"<tool_call>\n{\"name\": \"f127\", \"arguments\": {\"a\": \"x\"}}\n</tool_call>": true,
		"<tool_call>\n{\"name\": \"f127\", \"arguments\": {\"b\": 5}}\n</tool_call>":     true,
		"<tool_call>\n{\"name\": \"f128\", \"arguments\": {}}\n</tool_call>":             false,
	} {
		if err := g.Matches(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestAnswerGrammar: an answer in JSON may follow the reasoning, in the prompt
// or in the text.
func TestAnswerGrammar(t *testing.T) {
	data, err := os.ReadFile(jinjaData + "templates/Qwen-Qwen3-0.6B.jinja")
	if err != nil {
		t.Fatal(err)
	}
	tm, err := chat.Parse(map[string]string{"": string(data)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		prompt  string
		yes, no []string
	}{
		{"<|im_start|>assistant\n", []string{`{"a":1}`, "<think>hm {</think>\n\n{}"}, []string{"hm {}", "<think>hm {}", "</think>{}"}},
		{"<|im_start|>assistant\n<think>\n", []string{"hm</think>{}", "</think>\n{}"}, []string{"{}", "hm {}"}},
		{"<|im_start|>assistant\n<think>\n\n</think>\n\n", []string{"{}"}, []string{"hm</think>{}"}},
	} {
		g, err := tm.AnswerGrammar(c.prompt, grammar.AnyObject())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.yes {
			if err := g.Matches(s); err != nil {
				t.Errorf("%q: %q: %v", c.prompt, s, err)
			}
		}
		for _, s := range c.no {
			if g.Matches(s) == nil {
				t.Errorf("%q: %q is accepted", c.prompt, s)
			}
		}
	}
}
