package jinja_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/internal/jinja"
)

// The wanted outputs here were written by jinja2 itself: see testdata/golden.py.

// now is the time that golden.py renders at.
func now() time.Time { return time.Date(2024, 2, 29, 7, 5, 9, 123456000, time.UTC) }

// A want is an output, or an error.
type want struct {
	text          string
	kind, message string // of an error: "syntax", "raise", or Python's name
}

func (w *want) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &w.text)
	}
	var e struct{ Error, Message string }
	err := json.Unmarshal(data, &e)
	w.kind, w.message = e.Error, e.Message
	return err
}

func render(src string, vars map[string]any) (string, error) {
	t, err := jinja.Parse(src)
	if err != nil {
		return "", err
	}
	t.Now = now
	return t.Render(context.Background(), vars)
}

// check compares a result with what jinja2 did.
func check(t *testing.T, src string, vars map[string]any, w want) {
	t.Helper()
	got, err := render(src, vars)
	if w.kind == "" {
		if err != nil {
			t.Errorf("%v\nwant %q", err, w.text)
		} else if got != w.text {
			t.Errorf("got  %q\nwant %q", got, w.text)
		}
		return
	}
	if err == nil {
		t.Errorf("got %q, want error %s %q", got, w.kind, w.message)
		return
	}
	var at *jinja.Error
	var raised *jinja.RaiseError
	if !errors.As(err, &at) || at.Line < 1 || at.Column < 1 {
		t.Errorf("error without place: %v", err)
	}
	if errors.As(err, &raised) != (w.kind == "raise") || w.kind == "raise" && raised.Message != w.message {
		t.Errorf("got error %v, want %s %q", err, w.kind, w.message)
	}
	if _, syntax := jinja.Parse(src); (syntax != nil) != (w.kind == "syntax") {
		t.Errorf("got error %v, want %s %q", err, w.kind, w.message)
	}
}

// TestTemplates renders the templates of well-known models for many chats,
// and those of another folder that golden.py was run on.
func TestTemplates(t *testing.T) {
	golden(t, "testdata/templates", "testdata/golden.json.gz")
	if folder := os.Getenv("LLCUDA_TEMPLATES"); folder != "" {
		golden(t, folder, filepath.Join(folder, "golden.json.gz"))
	}
}

func golden(t *testing.T, folder, file string) {
	f, err := os.Open(file)
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
		Results map[string]map[string]want
	}
	if err := json.NewDecoder(z).Decode(&g); err != nil {
		t.Fatal(err)
	}
	if len(g.Results) == 0 {
		t.Fatalf("%s: no results", file)
	}
	for name, results := range g.Results {
		src, err := os.ReadFile(filepath.Join(folder, name+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		for c, w := range results {
			t.Run(name+"/"+c, func(t *testing.T) { check(t, string(src), raw(g.Cases[c]), w) })
		}
	}
}

func raw(vars map[string]json.RawMessage) map[string]any {
	all := make(map[string]any, len(vars))
	for k, v := range vars {
		all[k] = v
	}
	return all
}

// TestSnippets renders one small template for each rule of the language.
func TestSnippets(t *testing.T) {
	f, err := os.Open("testdata/snippets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	lines.Scan()
	var given struct{ Vars map[string]json.RawMessage }
	if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
		t.Fatal(err)
	}
	group := ""
	for lines.Scan() {
		line := lines.Bytes()
		if !bytes.HasPrefix(line, []byte("[")) {
			group = strings.Trim(lines.Text(), "# ")
			continue
		}
		var src string
		var w want
		if err := json.Unmarshal(line, &[]any{&src, &w}); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		t.Run(group+"/"+src, func(t *testing.T) { check(t, src, raw(given.Vars), w) })
	}
}
