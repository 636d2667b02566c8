package magics

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine/remote"
)

func TestInferSchema(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	const schema = `{"type":"object","properties":{"who":{"enum":["Emma","Noah"]},"age":{"type":"integer","minimum":1,"maximum":9}},"required":["who","age"]}`
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, []byte(schema), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{
		"%infer --schema " + file + " --temperature 1 --var v Who is it?",
		"%infer --schema '" + schema + "' --temperature 0 --var v Who is it?",
	} {
		out := run(in, code)
		text, _ := in.vars.Get("v")
		var v struct {
			Who string
			Age int
		}
		err := json.Unmarshal([]byte(text.(string)), &v)
		if err != nil || v.Who != "Emma" && v.Who != "Noah" || v.Age < 1 || v.Age > 9 || !strings.HasSuffix(out, " · stop: end of text") {
			t.Errorf("%s: %q, %v\n%s", code, text, err, out)
		}
	}
	out := run(in, "%infer --schema "+file+" --max-tokens 2 Who is it?")
	if !strings.Contains(out, "stop: max-tokens, so the text is cut") {
		t.Errorf("cut: %s", out)
	}
	out = run(in, "%infer --schema "+file+" --max-tokens 2 --json Who is it?")
	if !strings.Contains(out, `"complete":false`) {
		t.Errorf("cut: %s", out)
	}
	gbnf := filepath.Join(t.TempDir(), "x.gbnf")
	if err := os.WriteFile(gbnf, []byte(`root ::= "{" [a-c]{3} "}"`), 0o644); err != nil {
		t.Fatal(err)
	}
	out = run(in, "%infer --grammar "+gbnf+" Who is it?")
	if !regexp.MustCompile(`^stdout: \{[a-c]{3}\}\n`).MatchString(out) {
		t.Errorf("grammar: %s", out)
	}
	for code, want := range map[string]string{
		"%infer --schema {} --grammar " + gbnf + " x": "two ways to say the same",
		"%infer --schema nosuch.json x":               "or a file that holds one: open nosuch.json",
		"%infer --schema '{\"not\":{}}' x":            "#: not: this keyword is not supported",
		"%infer --grammar " + file + " x":             "line 1, column 1: want a rule",
		"%infer --schema '{\"type\":\"string\", ' x":  "it is no JSON",
	} {
		if out := run(in, code); !strings.Contains(out, want) {
			t.Errorf("%s: %s, want %q", code, out, want)
		}
	}
}

// TestChatSchema: an answer of a conversation, and the next one, which is free.
func TestChatSchema(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo --silent")
	const schema = `'{"type":"object","properties":{"who":{"enum":["Emma","Noah"]}},"required":["who"]}'`
	out := run(in, "%chat --schema "+schema+" --var v Who is it?")
	text, _ := in.vars.Get("v")
	var v struct{ Who string }
	if err := json.Unmarshal([]byte(text.(string)), &v); err != nil || v.Who != "Emma" && v.Who != "Noah" || strings.Contains(out, "is cut") {
		t.Errorf("%q, %v\n%s", text, err, out)
	}
	if out = run(in, "%chat --schema "+schema+" --max-tokens 2 And then?"); !strings.Contains(out, "so the text is cut") {
		t.Errorf("cut: %s", out)
	}
	if out = run(in, "%chat --max-tokens 4 --temperature 0 And then?"); strings.Contains(out, "is cut") || strings.Contains(out, "rror") {
		t.Errorf("free: %s", out)
	}
}

// TestBatchSchema: each line has a text of its own in the schema.
func TestBatchSchema(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo --silent")
	prompts, answers := batchFiles(t, `{"prompt": "Emma"}`, `{"prompt": "Noah", "temperature": 1.5}`, `{"prompt": "They"}`)
	got := run(in, "%infer --batch "+prompts+" --output "+answers+` --schema '{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3}'`)
	all := readAnswers(t, answers)
	if len(all) != 3 {
		t.Fatalf("%d answers\n%s", len(all), got)
	}
	for _, a := range all {
		var v []int64
		if err := json.Unmarshal([]byte(a.Text), &v); err != nil || len(v) < 2 || len(v) > 3 || a.StopReason != "eog" {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// TestStructuredRequest: a server is asked in its own words, or not at all.
func TestStructuredRequest(t *testing.T) {
	gbnf := filepath.Join(t.TempDir(), "x.gbnf")
	if err := os.WriteFile(gbnf, []byte(`root ::= "x"`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ owner, flag, value, want string }{
		{"vllm", "schema", `{"type":"null"}`, `{"response_format":{"json_schema":{"name":"answer","schema":{"type":"null"}},"type":"json_schema"}}`},
		{"llcuda", "schema", `{"type":"null"}`, `{"response_format":{"json_schema":{"name":"answer","schema":{"type":"null"}},"type":"json_schema"}}`},
		{"llamacpp", "schema", `{"type":"null"}`, `{"json_schema":{"type":"null"}}`},
		{"llamacpp", "grammar", gbnf, `{"grammar":"root ::= \"x\""}`},
		{"vllm", "grammar", gbnf, "does not say"},
		{"openai", "schema", `{"type":"null"}`, "does not say"},
		{"vllm", "schema", `{"type":"nul"}`, "is no type"},
	} {
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		inferFlags(f)
		f.Set(c.flag, c.value)
		q, err := endpointRequest(f, remote.Model{ID: "m", OwnedBy: c.owner})
		got, _ := json.Marshal(q.Fields)
		if err != nil {
			got = []byte(err.Error())
		}
		if !strings.Contains(string(got), c.want) {
			t.Errorf("%s --%s: %s, want %s", c.owner, c.flag, got, c.want)
		}
	}
}
