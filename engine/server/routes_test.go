package server

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/internal/openai"
)

func get[T any](t *testing.T, s *site, path string) (v T) {
	t.Helper()
	w, body := s.ask(t, "GET", path, "")
	if w.StatusCode != 200 {
		t.Fatalf("%s: status %d: %s", path, w.StatusCode, body)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%s: %v in %s", path, err, body)
	}
	return v
}

func TestModels(t *testing.T) {
	s := start(t, func(o *Options) { o.Name = "owner/demo" })
	all := get[openai.ModelList](t, s, "/v1/models")
	if len(all.Data) != 1 || all.Data[0].ID != "owner/demo" || all.Data[0].Object != "model" || all.Data[0].Created == 0 {
		t.Errorf("models: %+v", all)
	}
	for path, status := range map[string]int{"/v1/models/owner/demo": 200, "/v1/models/owner%2Fdemo": 200, "/v1/models/tiny": 200, "/v1/models/gpt-5": 404} {
		if w, body := s.ask(t, "GET", path, ""); w.StatusCode != status {
			t.Errorf("%s: status %d, want %d: %s", path, w.StatusCode, status, body)
		}
	}
	if h := get[map[string]string](t, s, "/health"); h["status"] != "ok" {
		t.Errorf("health: %v", h)
	}
	if w, body := s.ask(t, "HEAD", "/health", ""); w.StatusCode != 200 || len(body) > 0 {
		t.Errorf("HEAD: status %d, %q", w.StatusCode, body)
	}
	p := get[properties](t, s, "/props")
	if i := model(t).Info(); p.Context != i.Context || p.Architecture != i.Arch || !p.Generates || p.Embeds || p.Parallel != 4 || p.Queue != 64 {
		t.Errorf("props: %+v", p)
	}
}

func TestTokens(t *testing.T) {
	s := start(t, nil)
	tok := model(t).Tokenizer()
	const text = "A cat, a dög and 3 birds 🐦."
	for body, o := range map[string]tokenizer.Options{
		`{"content":"` + text + `"}`:                          {Special: true, NoBOS: true, NoEOS: true},
		`{"prompt":"` + text + `"}`:                           {Special: true, NoBOS: true, NoEOS: true},
		`{"content":"` + text + `","add_special":true}`:       {Special: true, NoEOS: true},
		`{"content":"<s>` + text + `"}`:                       {Special: true, NoBOS: true, NoEOS: true},
		`{"content":"<s>","parse_special":false}`:             {NoBOS: true, NoEOS: true},
		`{"content":""}`:                                      {NoBOS: true, NoEOS: true},
		`{"prompt":"` + text + `","add_special_tokens":true}`: {Special: true, NoEOS: true},
	} {
		var q map[string]any
		if err := json.Unmarshal([]byte(body), &q); err != nil {
			t.Fatal(err)
		}
		said, _ := q["content"].(string)
		if said == "" {
			said, _ = q["prompt"].(string)
		}
		got := post[tokenizeResponse](t, s, "/tokenize", body)
		if want := tok.Encode(said, o); !slices.Equal(got.Tokens, want) || got.Count != len(want) {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
	ids, err := json.Marshal(tok.Encode(text, tokenizer.Options{NoBOS: true, NoEOS: true}))
	if err != nil {
		t.Fatal(err)
	}
	if got := post[detokenizeResponse](t, s, "/detokenize", `{"tokens":`+string(ids)+`}`); strings.TrimSpace(got.Content) != text || got.Prompt != got.Content {
		t.Errorf("detokenize: %q, want %q", got.Content, text)
	}
}

// TestMetrics: each line is one of Prometheus' text format, and counts what
// happened.
func TestMetrics(t *testing.T) {
	s := start(t, nil)
	done := post[openai.CompletionResponse](t, s, "/v1/completions", `{"prompt":"The sun","max_tokens":9,"temperature":0,"ignore_eos":true}`)
	s.ask(t, "POST", "/v1/completions", `{`)
	w, body := s.ask(t, "GET", "/metrics", "")
	if !strings.HasPrefix(w.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("type %q", w.Header.Get("Content-Type"))
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [-+0-9.e]+)$`)
	values := map[string]string{}
	for l := range strings.Lines(string(body)) {
		l = strings.TrimSuffix(l, "\n")
		if !line.MatchString(l) {
			t.Errorf("line %q", l)
		}
		if i := strings.LastIndexByte(l, ' '); l[0] != '#' {
			values[l[:i]] = l[i+1:]
		}
	}
	for name, want := range map[string]string{
		`llcuda_requests_total{route="/v1/completions",code="200"}`: "1",
		`llcuda_requests_total{route="/v1/completions",code="400"}`: "1",
		`llcuda_generated_tokens_total`:                             "9",
		`llcuda_running_texts`:                                      "0",
		`llcuda_first_token_seconds_count`:                          "1",
		`llcuda_first_token_seconds_bucket{le="+Inf"}`:              "1",
		`llcuda_tokens_per_second_count`:                            "1",
	} {
		if values[name] != want {
			t.Errorf("%s is %q, want %s", name, values[name], want)
		}
	}
	if st := s.Status(); st.Generated != int64(done.Usage.CompletionTokens) || st.Prompt != int64(done.Usage.PromptTokens) {
		t.Errorf("status %+v, usage %+v", st, done.Usage)
	}
}

// TestOpenAPI: the document has every route and no other, and no field that
// requests do not have.
func TestOpenAPI(t *testing.T) {
	s := start(t, nil)
	doc := get[struct {
		OpenAPI    string
		Paths      map[string]map[string]any
		Components struct {
			Schemas map[string]schema
		}
	}](t, s, "/openapi.json")
	var have, want []string
	for path, methods := range doc.Paths {
		for m := range methods {
			have = append(have, strings.ToUpper(m)+" "+path)
		}
	}
	for path, methods := range s.table() {
		for m := range methods {
			want = append(want, m+" "+strings.Replace(path, "...", "", 1))
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) || doc.OpenAPI != "3.1.0" {
		t.Errorf("%s has\n%q, want\n%q", doc.OpenAPI, have, want)
	}
	for name, v := range map[string]any{
		"ChatRequest": openai.ChatRequest{}, "CompletionRequest": openai.CompletionRequest{}, "EmbeddingRequest": openai.EmbeddingRequest{},
		"ResponseRequest": openai.ResponseRequest{}, "ChatResponse": openai.ChatResponse{}, "ChatChunk": openai.ChatChunk{}, "Message": openai.Message{},
		"CompletionResponse": openai.CompletionResponse{}, "EmbeddingResponse": openai.EmbeddingResponse{}, "Response": openai.Response{},
		"Usage": openai.Usage{}, "Model": openai.Model{}, "ModelList": openai.ModelList{}, "Tool": openai.Tool{},
		"TokenizeRequest": tokenizeRequest{}, "TokenizeResponse": tokenizeResponse{}, "DetokenizeRequest": detokenizeRequest{},
		"DetokenizeResponse": detokenizeResponse{}, "Properties": properties{},
	} {
		fields := fieldsOf(reflect.TypeOf(v))
		documented := slices.Collect(maps.Keys(doc.Components.Schemas[name].Properties))
		if len(documented) == 0 {
			t.Errorf("no schema %s", name)
		}
		for _, p := range documented {
			if !fields[p] {
				t.Errorf("%s has no field %q", name, p)
			}
		}
	}
	for _, m := range regexp.MustCompile(`"#/components/(\w+)/(\w+)"`).FindAllStringSubmatch(string(openAPIDocument), -1) {
		if _, there := doc.Components.Schemas[m[2]]; m[1] == "schemas" && !there {
			t.Errorf("a reference to %s leads nowhere", m[0])
		}
	}
}

// fieldsOf are the names that a struct has in JSON.
func fieldsOf(t reflect.Type) map[string]bool {
	all := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && f.Anonymous {
			maps.Copy(all, fieldsOf(f.Type))
		}
		all[name] = true
	}
	return all
}
