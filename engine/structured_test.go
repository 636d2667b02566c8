package engine

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/llcuda/llcuda/engine/grammar"
	"github.com/llcuda/llcuda/engine/tokenizer"
)

// Schemas whose texts end before a small model's patience does.
var answerSchemas = []string{
	`{"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":16},"age":{"type":"integer","minimum":1,"maximum":120},
"hobbies":{"type":"array","items":{"type":"string","maxLength":12},"minItems":1,"maxItems":3},"member":{"type":["boolean","null"]}},"required":["name","age","hobbies","member"],"additionalProperties":false}`,
	`{"anyOf":[{"type":"object","properties":{"kind":{"const":"date"},"day":{"type":"string","format":"date"}},"required":["kind","day"]},
{"type":"object","properties":{"kind":{"const":"price"},"value":{"type":"number","minimum":0.5,"exclusiveMaximum":100}},"required":["kind","value"]}]}`,
	`{"type":"object","properties":{"v":{"type":"string","pattern":"^[A-Z][a-z]{1,8}$"},"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["v","next"]}`,
}

// A filled form is a text that a model gave to a schema.
type filled struct {
	schema, text string
	stop         string
}

// TestSchemaDemo: texts of the embedded model, several at once, are valid for
// their schemas.
func TestSchemaDemo(t *testing.T) {
	m := demoModel(t, Options{})
	b := newBatcher(t, m, BatcherOptions{Texts: 4})
	prompt := m.Tokenizer().Encode("Emma is a girl of eight. She likes", tokenizer.Options{NoEOS: true})
	var mu sync.Mutex
	var all []filled
	var texts sync.WaitGroup
	for i, schema := range answerSchemas {
		for _, p := range []Sampler{{}, {Temperature: 1}, {Temperature: 1, TopK: 40}, DefaultSampler()} {
			texts.Go(func() {
				g, err := grammar.FromSchema([]byte(schema))
				if err != nil {
					t.Error(err)
					return
				}
				p.Seed = uint64(i)
				a, stats := filled{schema: schema}, Stats{}
				for tok, err := range b.Generate(t.Context(), prompt, GenerateOptions{MaxTokens: 300, Sampler: p, Constraint: m.Constrain(g), Stats: &stats}) {
					if err != nil {
						t.Error(err)
						return
					}
					a.text += tok.Text
				}
				a.stop = stats.StopReason
				mu.Lock()
				defer mu.Unlock()
				all = append(all, a)
			})
		}
	}
	texts.Wait()
	checkAnswers(t, all)
}

// TestSchemaReal: likewise a real model, one text after the other.
func TestSchemaReal(t *testing.T) {
	m, err := Load(t.Context(), realModel(t, "smollm2-135m-q4_1"), Options{Context: 512})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := newSession(t, m)
	defer s.Close()
	prompt := m.Tokenizer().Encode("Emma is a girl of eight who likes to swim. As JSON:\n", tokenizer.Options{NoEOS: true})
	var all []filled
	for _, schema := range answerSchemas[:2] {
		g, err := grammar.FromSchema([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []Sampler{{}, {Temperature: 1, Seed: 4}} {
			var stats Stats
			s.Reset()
			_, text, err := collect(t.Context(), s, prompt, GenerateOptions{MaxTokens: 200, Sampler: p, Constraint: m.Constrain(g), Stats: &stats})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, filled{schema, text, stats.StopReason})
		}
	}
	checkAnswers(t, all)
}

// checkAnswers asks an independent validator. A text that was cut by its
// length is not asked about; most are not.
func checkAnswers(t *testing.T, all []filled) {
	t.Helper()
	var in bytes.Buffer
	var whole []filled
	for _, a := range all {
		if a.stop == "eog" {
			json.NewEncoder(&in).Encode([]string{a.schema, a.text})
			whole = append(whole, a)
		}
	}
	if len(whole)*4 < len(all)*3 {
		t.Errorf("%d of %d texts were cut: %q", len(all)-len(whole), len(all), all)
	}
	python, err := filepath.Abs("../.venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Skip("no .venv: make testdata installs the package jsonschema in it")
	}
	cmd := exec.Command(python, "grammar/testdata/validate.py")
	cmd.Stdin = &in
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(lines) != len(whole) {
		t.Fatalf("%v: %s", err, out)
	}
	for i, msg := range lines {
		if msg != "" {
			t.Errorf("%s\nhas %s\n%s", whole[i].schema, whole[i].text, msg)
		}
	}
}
