package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestInferSchema: what the demo model writes is JSON that the schema allows,
// or said to be cut.
func TestInferSchema(t *testing.T) {
	schema := write(t, "schema.json", `{"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":12},"age":{"type":"integer","minimum":3,"maximum":99},
		"likes":{"type":"array","items":{"enum":["cats","dogs"]},"minItems":1,"maxItems":2}},"required":["name","age","likes"],"additionalProperties":false}`)
	type result struct {
		Text       string
		StopReason string `json:"stop_reason"`
		Complete   *bool
	}
	for _, temperature := range []string{"0", "1"} {
		for seed := range 4 {
			got := outputJSON[result](t, "infer", "demo", "Emma is a girl:", "--schema", schema, "--temperature", temperature, "--seed", fmt.Sprint(seed), "--json")
			var v struct {
				Name  string
				Age   int
				Likes []string
			}
			d := json.NewDecoder(strings.NewReader(got.Text))
			d.DisallowUnknownFields()
			if err := d.Decode(&v); err != nil || got.StopReason != "eog" || got.Complete == nil || !*got.Complete {
				t.Errorf("%+v: %v", got, err)
			}
			if n := len([]rune(v.Name)); n < 1 || n > 12 || v.Age < 3 || v.Age > 99 || len(v.Likes) < 1 || len(v.Likes) > 2 {
				t.Errorf("%+v", v)
			}
		}
	}
	out, _, err := command(t, "", "infer", "demo", "Emma", "--schema", schema, "--max-tokens", "3", "--json")
	var cut result
	if e := json.Unmarshal([]byte(out), &cut); e != nil || cut.StopReason != "length" || cut.Complete == nil || *cut.Complete || !errors.Is(err, errCut) {
		t.Errorf("%v, %+v, %v; want it cut", e, cut, err)
	}
	out, stderr, err := command(t, "", "infer", "demo", "Emma", "--schema", schema, "--max-tokens", "3")
	if !errors.Is(err, errCut) || !strings.HasPrefix(out, "{") || !strings.Contains(stderr, "stop: length") {
		t.Errorf("%q, %v, %q", out, err, stderr)
	}
}

// A server keeps a schema in its own way: what it sends is looked at.
func TestInferSchemaEndpoint(t *testing.T) {
	url := served(t, "demo", "--ctx", "256")
	t.Setenv("OPENAI_API_KEY", servedKey)
	for _, c := range []struct {
		max  string
		want error
	}{{"200", nil}, {"3", errCut}} {
		for _, more := range [][]string{nil, {"--json"}} {
			args := append([]string{"infer", url, "Emma is a girl:", "--schema", `{"type": "object", "properties": {"age": {"type": "integer", "minimum": 3, "maximum": 99}}, "required": ["age"]}`,
				"--temperature", "0", "--max-tokens", c.max}, more...)
			out, stderr, err := command(t, "", args...)
			if !errors.Is(err, c.want) || !strings.Contains(out, "{") {
				t.Errorf("--max-tokens %s %v: %q, %q, %v, want %v", c.max, more, out, stderr, err, c.want)
			}
		}
	}
}

func TestInferGrammar(t *testing.T) {
	file := write(t, "answer.gbnf", "root ::= (\"yes\" | \"no\") [.!]{2}\n")
	got, stderr, err := command(t, "", "infer", "demo", "Do cats sleep?", "--grammar", file)
	if ok, _ := regexp.MatchString(`^(yes|no)[.!]{2}\n$`, got); !ok || err != nil || !strings.Contains(stderr, "stop: eog") || strings.Contains(stderr, "cut") {
		t.Errorf("%q, %q, %v", got, stderr, err)
	}
}
