package grammar

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A sample is a text that a schema's grammar has.
type sample struct{ schema, text string }

// validate returns what an independent validator says of each sample; "" is
// valid.
func validate(t *testing.T, all []sample) []string {
	t.Helper()
	python, err := filepath.Abs("../../.venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Skip("no .venv: make testdata installs the package jsonschema in it")
	}
	var in, stderr bytes.Buffer
	e := json.NewEncoder(&in)
	for _, s := range all {
		e.Encode([]string{s.schema, s.text})
	}
	cmd := exec.Command(python, "testdata/validate.py")
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(all) {
		t.Fatalf("%d answers to %d texts", len(lines), len(all))
	}
	return lines
}

// rich are schemas as applications have them, beside the small ones of
// TestSchemas.
var rich = []string{
	`{"$defs":{"Address":{"properties":{"street":{"title":"Street","type":"string","minLength":1,"maxLength":12},"zip":{"type":"string","pattern":"^\\d{5}(-\\d{4})?$"},"country":{"enum":["DE","FR","US"],"type":"string","default":"DE"}},"required":["street","zip"],"title":"Address","type":"object"},
"Role":{"enum":["admin","user"],"title":"Role","type":"string"}},
"properties":{"id":{"format":"uuid","type":"string"},"name":{"type":"string","maxLength":20},"age":{"anyOf":[{"exclusiveMinimum":0,"maximum":150,"type":"integer"},{"type":"null"}],"default":null},"roles":{"items":{"$ref":"#/$defs/Role"},"type":"array","maxItems":3},"address":{"$ref":"#/$defs/Address"},"score":{"type":"number","minimum":-0.5,"exclusiveMaximum":1.25},"born":{"type":"string","format":"date"},"tags":{"type":"object","additionalProperties":{"type":"string","maxLength":4},"maxProperties":2}},
"required":["id","name","address","score"],"title":"User","type":"object"}`,
	`{"type":"object","properties":{"steps":{"type":"array","items":{"type":"object","properties":{"explanation":{"type":"string","maxLength":9},"output":{"type":"string","maxLength":9}},"required":["explanation","output"],"additionalProperties":false},"minItems":1,"maxItems":2},"final_answer":{"type":"string","maxLength":5}},"required":["steps","final_answer"],"additionalProperties":false}`,
	`{"oneOf":[{"$ref":"#/$defs/Circle"},{"$ref":"#/$defs/Rect"}],"discriminator":{"propertyName":"kind"},"$defs":{"Circle":{"type":"object","properties":{"kind":{"const":"circle","type":"string"},"r":{"type":"number","exclusiveMinimum":0,"maximum":99.5}},"required":["kind","r"]},"Rect":{"type":"object","properties":{"kind":{"const":"rect","type":"string"},"w":{"type":"integer","minimum":1,"maximum":17},"h":{"type":"integer","minimum":-3,"maximum":3}},"required":["kind","w","h"]}}}`,
	`{"$ref":"#/$defs/Expr","$defs":{"Expr":{"anyOf":[{"type":"integer","minimum":0,"maximum":99},{"type":"object","properties":{"op":{"enum":["+","*"]},"args":{"type":"array","items":{"$ref":"#/$defs/Expr"},"minItems":1,"maxItems":2}},"required":["op","args"],"additionalProperties":false}]}}}`,
	`{"type":"object","properties":{"a":{"type":"integer","minimum":-120,"maximum":-7},"b":{"type":"integer","exclusiveMinimum":999,"exclusiveMaximum":100001},"c":{"type":["number","null"],"minimum":0.125},"d":{"enum":[1,1.5,"x",null,[true]]}},"additionalProperties":{"type":"boolean"}}`,
	`{"allOf":[{"$ref":"#/$defs/base"},{"properties":{"y":{"type":"integer","maximum":3}},"required":["y"]}],"$defs":{"base":{"type":"object","properties":{"x":{"type":"boolean"},"y":{"minimum":-3}},"required":["x"]}}}`,
	`{"type":"array","prefixItems":[{"format":"ipv4"},{"format":"email"},{"format":"date-time"},{"format":"time"},{"format":"duration"},{"format":"hostname"},{"format":"ipv6"},{"format":"uri"}]}`,
}

// TestValid walks at random through the grammars of schemas, and changes the
// texts at random: what a grammar has is valid, says an independent validator.
func TestValid(t *testing.T) {
	t.Run("small", func(t *testing.T) {
		v := NewVocabulary(newWords(`"}`, `":`, `", "`, `{"`, "true", "ue", "12", "é", "\xc3\xa9\"", "🙂", "\n  ", `\u00`, "2024", "-0", "@", "://"))
		var all []sample
		list := slices.Clone(rich)
		for name, s := range schemas {
			if name == "pattern in groups" || name == "tuple of draft 7" {
				continue // Python names groups in another way, and the draft has to be named
			}
			list = append(list, s.schema)
			for _, text := range s.yes {
				all = append(all, sample{s.schema, text})
			}
		}
		slices.Sort(list)
		checkValid(t, append(all, walks(t, v, list)...))
	})
	t.Run("real", func(t *testing.T) { checkValid(t, walks(t, vocabulary(t, smol), rich)) })
}

func checkValid(t *testing.T, all []sample) {
	t.Helper()
	for i, msg := range validate(t, all) {
		if msg != "" {
			t.Errorf("%s\nhas %s\n%s", all[i].schema, all[i].text, msg)
		}
	}
}

// walks is some texts of each schema, with those close to them that its
// grammar has too.
func walks(t *testing.T, v *Vocabulary, schemas []string) (all []sample) {
	t.Helper()
	n, cut := 0, 0
	kinds := kindsOf(v)
	for _, schema := range schemas {
		g, err := FromSchema([]byte(schema))
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		r, m := rand.New(rand.NewPCG(uint64(n), 9)), NewMachine(g, v)
		for range 4 {
			n++
			text, ok := walk(t, m, kinds, r)
			if !ok {
				cut++
				continue
			}
			all = append(all, sample{schema, text})
			for range 60 {
				if changed := change(text, r); changed != text && g.Matches(changed) == nil {
					all = append(all, sample{schema, changed})
				}
			}
		}
	}
	if cut > n/5 || len(all) < 2*n {
		t.Errorf("%d of %d walks came to no end, %d texts in all", cut, n, len(all))
	}
	return all
}

// Kinds of tokens for walk.
const (
	other = iota
	short
	closing
)

func kindsOf(v *Vocabulary) []uint8 {
	kinds := make([]uint8, v.pieces.Len())
	for id := range kinds {
		switch piece := string(v.pieces.Piece(int32(id))); {
		case piece != "" && strings.Trim(piece, "\"]},:0") == "":
			kinds[id] = closing
		case len(piece) == 1:
			kinds[id] = short
		}
	}
	return kinds
}

// walk takes allowed tokens at random, and after a while those that close what
// is open.
func walk(t *testing.T, m *Machine, kinds []uint8, r *rand.Rand) (string, bool) {
	t.Helper()
	x, p := m.Matcher(), m.v.pieces
	logits := make([]float32, p.Len())
	wild := 5 + r.IntN(40)
	for n := range 400 {
		if x.Done() || x.MayEnd() && (n > wild || r.IntN(8) == 0) {
			return string(x.Text()), true
		}
		clear(logits)
		x.Mask(logits)
		var of [3][]int32
		for id, l := range logits {
			if l == 0 && !p.IsEOG(int32(id)) {
				of[kinds[id]] = append(of[kinds[id]], int32(id))
			}
		}
		next := slices.Concat(of[:]...)
		switch {
		case len(of[closing]) > 0 && (n > wild || r.IntN(4) == 0):
			next = of[closing]
		case len(of[short]) > 0 && r.IntN(2) == 0:
			next = of[short]
		}
		if len(next) == 0 {
			t.Fatalf("a dead end: %v", x)
		}
		if err := x.Accept(next[r.IntN(len(next))]); err != nil {
			t.Fatal(err)
		}
	}
	return "", false
}

// change takes something from text, or puts something in.
func change(text string, r *rand.Rand) string {
	i := r.IntN(len(text) + 1)
	j := min(i+r.IntN(3), len(text))
	with := []string{"", "", "0", "1", "9", "-", ".", ",", `"`, "a", "}", "]", "true", "null", `\u0061`, "é", ":", " ", "T", "00", `"x":1,`}
	return text[:i] + with[r.IntN(len(with))] + text[j:]
}
