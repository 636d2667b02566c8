package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/llcuda/llcuda/engine/chat"
)

// A schema is the part of JSON Schema that openapi.json has.
// https://json-schema.org/draft/2020-12/json-schema-validation
type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any    // a name, or several
	Enum                 []any
	Const                any
	AnyOf, AllOf         []*schema
	Properties           map[string]*schema
	Required             []string
	AdditionalProperties *schema
	PropertyNames        *schema
	Items                *schema
	Minimum, Maximum     json.Number
	MinLength, MaxLength *int
	MinItems, MaxItems   *int
	Pattern              string
	Examples             []any // for the values that only a reader of the text could tell
}

// A document is openapi.json.
type document struct {
	Paths map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct{ Schema *schema }
		}
	}
	Components struct{ Schemas map[string]*schema }
}

func (d *document) follow(s *schema) *schema {
	for s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

// valid says whether a value is one of the schema's.
func (d *document) valid(s *schema, v any) bool {
	s = d.follow(s)
	kind := kindOf(v)
	switch {
	case s.Type != nil && !slices.ContainsFunc(types(s), func(t string) bool { return t == kind || t == "number" && kind == "integer" }),
		s.Enum != nil && !slices.ContainsFunc(s.Enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) && kindOf(e) == kind }),
		s.Const != nil && fmt.Sprint(s.Const) != fmt.Sprint(v),
		s.AnyOf != nil && !slices.ContainsFunc(s.AnyOf, func(s *schema) bool { return d.valid(s, v) }),
		slices.ContainsFunc(s.AllOf, func(s *schema) bool { return !d.valid(s, v) }):
		return false
	}
	switch v := v.(type) {
	case json.Number:
		return (s.Minimum == "" || rational(v).Cmp(rational(s.Minimum)) >= 0) && (s.Maximum == "" || rational(v).Cmp(rational(s.Maximum)) <= 0)
	case string:
		n := utf8.RuneCountInString(v)
		return within(n, s.MinLength, s.MaxLength) && (s.Pattern == "" || regexp.MustCompile(s.Pattern).MatchString(v))
	case []any:
		return within(len(v), s.MinItems, s.MaxItems) && (s.Items == nil || !slices.ContainsFunc(v, func(v any) bool { return !d.valid(s.Items, v) }))
	case map[string]any:
		for _, name := range s.Required {
			if _, there := v[name]; !there {
				return false
			}
		}
		for name, v := range v {
			of := s.Properties[name]
			if of == nil {
				of = s.AdditionalProperties
			}
			if of != nil && !d.valid(of, v) || s.PropertyNames != nil && !d.valid(s.PropertyNames, name) {
				return false
			}
		}
	}
	return true
}

func within(n int, least, most *int) bool {
	return (least == nil || n >= *least) && (most == nil || n <= *most)
}

func rational(n json.Number) *big.Rat {
	r, _ := new(big.Rat).SetString(string(n))
	return r
}

func types(s *schema) (all []string) {
	if list, ok := s.Type.([]any); ok {
		for _, t := range list {
			all = append(all, t.(string))
		}
		return all
	}
	return []string{s.Type.(string)}
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		if rational(v).IsInt() {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// values are some of a schema and around it, right and wrong.
func (d *document) values(s *schema) (all []any) {
	s = d.follow(s)
	all = []any{nil, true, json.Number("0"), json.Number("-1"), json.Number("1.5"), json.Number("1.0"), "", "x", []any{}, []any{nil}, map[string]any{}}
	if s.Examples != nil { // the others of its type are for a reader of the text
		all = slices.DeleteFunc(all, func(v any) bool { return v != nil && d.valid(s, v) })
		return append(all, s.Examples...)
	}
	all = append(all, s.Enum...)
	if s.Const != nil {
		all = append(all, s.Const)
	}
	for _, edge := range []json.Number{s.Minimum, s.Maximum} {
		for _, step := range []int64{-1, 0, 1} {
			if edge != "" {
				all = append(all, json.Number(strings.TrimSuffix(new(big.Rat).Add(rational(edge), big.NewRat(step, 1)).FloatString(2), ".00")))
			}
		}
	}
	for _, n := range []*int{s.MinLength, s.MaxLength} {
		if n != nil {
			all = append(all, strings.Repeat("x", *n), strings.Repeat("é", *n+1))
		}
	}
	for _, s := range s.AnyOf {
		all = append(all, d.values(s)...)
	}
	if s.Items != nil {
		for _, v := range d.values(s.Items) {
			all = append(all, []any{v})
		}
		if s.MaxItems != nil && *s.MaxItems <= 2048 {
			all = append(all, slices.Repeat([]any{d.right(s.Items)}, *s.MaxItems+1))
		}
	}
	return append(all, d.objects(s)...)
}

// objects are the values that have properties.
func (d *document) objects(s *schema) (all []any) {
	if s.AdditionalProperties != nil {
		all = append(all, map[string]any{"x": json.Number("1")})
		for _, v := range d.values(s.AdditionalProperties) {
			all = append(all, map[string]any{"5": v})
		}
	}
	if s.Properties == nil {
		return all
	}
	base := map[string]any{}
	for _, name := range s.Required {
		base[name] = d.right(s.Properties[name])
	}
	all = append(all, base)
	for name, of := range s.Properties {
		for _, v := range d.values(of) {
			with := maps.Clone(base)
			with[name] = v
			all = append(all, with)
		}
	}
	for _, name := range s.Required {
		without := maps.Clone(base)
		delete(without, name)
		all = append(all, without)
	}
	return all
}

// right is one value of the schema's.
func (d *document) right(s *schema) any {
	for _, v := range d.values(s) {
		if v != nil && d.valid(s, v) {
			return v
		}
	}
	return nil
}

// flat has one vector for all texts.
type flat struct{}

func (flat) Dim() int { return 3 }

func (flat) Embed(_ context.Context, texts []string) (vectors [][]float32, tokens int, err error) {
	return slices.Repeat([][]float32{{1, 2, 2}}, len(texts)), len(texts), nil
}

// TestPromises: what the document says is right is answered, and what it says
// is wrong is refused. Each field of each route gets values on both sides.
func TestPromises(t *testing.T) {
	s, err := New(Options{Name: "x", Model: model(t), Generator: says("Yes."), Embedder: flat{}, Parallel: 4})
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	d := json.NewDecoder(bytes.NewReader(s.described))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		body := methods["post"].RequestBody.Content["application/json"].Schema
		if body == nil {
			continue
		}
		t.Run(path, func(t *testing.T) {
			sent := map[string]bool{}
			accepted, refused := 0, 0
			for _, v := range doc.objects(doc.follow(body)) {
				request := maps.Clone(v.(map[string]any))
				tools(path, request)
				text, err := json.Marshal(request)
				if err != nil {
					t.Fatal(err)
				}
				if sent[string(text)] {
					continue
				}
				sent[string(text)] = true
				r := httptest.NewRequest("POST", "http://localhost"+path, bytes.NewReader(text))
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				want := 200
				if !doc.valid(body, any(request)) {
					want = 400
				}
				switch {
				case w.Code == 404 && want == 200: // another model
				case w.Code != want:
					t.Errorf("%.300s: status %d, want %d: %.300s", text, w.Code, want, w.Body)
				case want == 200:
					accepted++
				default:
					refused++
				}
			}
			if accepted < 3 || refused < 10 {
				t.Errorf("%d accepted, %d refused", accepted, refused)
			}
			t.Logf("%d accepted, %d refused", accepted, refused)
		})
	}
}

// tools gives a request the tools that its tool_choice means.
func tools(path string, request map[string]any) {
	choice, there := request["tool_choice"]
	if !there {
		return
	}
	name := "x"
	if o, ok := choice.(map[string]any); ok {
		if f, ok := o["function"].(map[string]any); ok {
			o = f
		}
		if n, ok := o["name"].(string); ok && n != "" && len(n) <= 128 {
			name = n
		}
	}
	f := map[string]any{"name": name}
	if path == "/v1/responses" {
		f["type"] = "function"
		request["tools"] = []any{f}
		return
	}
	request["tools"] = []any{map[string]any{"type": "function", "function": f}}
}

// TestPromisesOfTemplates: no request is a fault of the server's, whichever
// model's template it meets; some templates refuse some.
func TestPromisesOfTemplates(t *testing.T) {
	files, err := filepath.Glob("../../internal/jinja/testdata/templates/*.jinja")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Options{Name: "x", Model: model(t), Generator: says("Yes."), Parallel: 4})
		if err != nil {
			t.Fatal(err)
		}
		if s.template, err = chat.Parse(map[string]string{"": string(source)}, s.o.Model.Tokenizer()); err != nil {
			t.Fatal(err)
		}
		var doc document
		d := json.NewDecoder(bytes.NewReader(s.described))
		d.UseNumber()
		if err := d.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		answered := 0
		for _, path := range []string{"/v1/chat/completions", "/v1/responses"} {
			body := doc.Paths[path]["post"].RequestBody.Content["application/json"].Schema
			for _, v := range doc.objects(doc.follow(body)) {
				request := v.(map[string]any)
				if !doc.valid(body, v) {
					continue
				}
				tools(path, request)
				text, err := json.Marshal(request)
				if err != nil {
					t.Fatal(err)
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, httptest.NewRequest("POST", "http://localhost"+path, bytes.NewReader(text)))
				if w.Code >= 500 {
					t.Errorf("%s: %.200s: status %d: %.200s", filepath.Base(file), text, w.Code, w.Body)
				}
				if w.Code == 200 {
					answered++
				}
			}
		}
		t.Logf("%s: %d answered", filepath.Base(file), answered)
	}
}
