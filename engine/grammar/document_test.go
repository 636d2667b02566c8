package grammar

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine/tokenizer"
)

// TestDocuments: what is valid for a schema, and written in its order, is a
// text of its grammar, token by token as real vocabularies cut it. The
// documents are made from the schema as it stands, and an independent
// validator has to agree that they are valid.
func TestDocuments(t *testing.T) {
	var all []sample
	for _, schema := range rich[:6] {
		root, err := decode([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		d := document{r: rand.New(rand.NewPCG(8, 8)), root: root.(*object)}
		for range 150 {
			all = append(all, sample{schema, d.of(root)})
		}
	}
	valid := all[:0]
	for i, msg := range validate(t, all) {
		if msg == "" {
			valid = append(valid, all[i])
		}
	}
	if len(valid) < 400 {
		t.Errorf("%d of %d documents are valid", len(valid), 6*150)
	}
	for _, s := range schemas {
		for _, text := range s.yes {
			valid = append(valid, sample{s.schema, text})
		}
	}
	machines := map[string]*Machine{}
	for _, name := range []string{smol, llama} {
		tok, v := realVocabulary(t, name), vocabulary(t, name)
		for _, s := range valid {
			m := machines[name+s.schema]
			if m == nil {
				g, err := FromSchema([]byte(s.schema))
				if err != nil {
					t.Fatal(err)
				}
				m = NewMachine(g, v)
				machines[name+s.schema] = m
			}
			x := m.Matcher()
			for _, id := range tok.Encode(s.text, tokenizer.Options{NoBOS: true, NoEOS: true}) {
				if err := x.Accept(id); err != nil {
					t.Errorf("%s: %s\n%s: %v", name, s.schema, s.text, err)
					break
				}
			}
			if !x.MayEnd() {
				t.Errorf("%s: %s\n%s: it may not end", name, s.schema, s.text)
			}
		}
	}
}

// A document writes values for a schema at random. Not all are valid.
type document struct {
	r     *rand.Rand
	root  *object
	depth int
}

func (d *document) of(schema any) string {
	o, ok := schema.(*object)
	if !ok {
		return "null"
	}
	d.depth++
	defer func() { d.depth-- }()
	if name, ok := o.values["$ref"].(string); ok {
		defs := d.root.values["$defs"].(*object)
		return d.of(defs.values[strings.TrimPrefix(name, "#/$defs/")])
	}
	if l, ok := o.values["allOf"].([]any); ok {
		return d.of(d.joined(l))
	}
	for _, key := range []string{"anyOf", "oneOf", "enum"} {
		if l, ok := o.values[key].([]any); ok {
			i := d.r.IntN(len(l))
			if d.depth > 8 {
				i = 0
			}
			if key == "enum" {
				return encode(l[i])
			}
			return d.of(l[i])
		}
	}
	if o.has("const") {
		return encode(o.values["const"])
	}
	t, _ := o.values["type"].(string)
	if l, ok := o.values["type"].([]any); ok {
		t = l[d.r.IntN(len(l))].(string)
	}
	switch {
	case t == "object" || o.has("properties"):
		return d.object(o)
	case t == "array":
		n := d.number(o, "minItems", 0) + d.r.IntN(3)
		parts := make([]string, n)
		for i := range parts {
			parts[i] = d.of(o.values["items"])
		}
		return "[" + strings.Join(parts, []string{",", ", ", ",\n  "}[d.r.IntN(3)]) + "]"
	case t == "integer":
		lo, hi := d.number(o, "minimum", -5), d.number(o, "maximum", 200)
		return fmt.Sprint(lo + d.r.IntN(max(hi-lo, 0)+3) - 1)
	case t == "number":
		return fmt.Sprintf("%.*f", d.r.IntN(4), float64(d.number(o, "minimum", -1))+3*d.r.Float64())
	case t == "boolean":
		return fmt.Sprint(d.r.IntN(2) == 0)
	case t == "string":
		return d.string(o)
	}
	return "null"
}

// joined is the parts of allOf as one schema, as far as those of the test go.
func (d *document) joined(parts []any) *object {
	out, props := newObject(), newObject()
	var required []any
	for _, p := range parts {
		o := p.(*object)
		if name, ok := o.values["$ref"].(string); ok {
			o = d.root.values["$defs"].(*object).values[strings.TrimPrefix(name, "#/$defs/")].(*object)
		}
		if l, ok := o.values["properties"].(*object); ok {
			for _, k := range l.keys {
				props.set(k, l.values[k])
			}
		}
		l, _ := o.values["required"].([]any)
		required = append(required, l...)
	}
	out.set("properties", props)
	out.set("required", required)
	return out
}

func (d *document) object(o *object) string {
	var members []string
	add := func(key string, schema any) { members = append(members, encode(key)+": "+d.of(schema)) }
	required, _ := o.values["required"].([]any)
	if props, ok := o.values["properties"].(*object); ok {
		for _, k := range props.keys {
			need := false
			for _, v := range required {
				need = need || v == k
			}
			if need || d.r.IntN(2) == 0 {
				add(k, props.values[k])
			}
		}
	}
	if more, ok := o.values["additionalProperties"].(*object); ok {
		for i := range d.r.IntN(3) {
			add([]string{"x", "ünder", "b2"}[i], more)
		}
	}
	return "{" + strings.Join(members, []string{",", ", ", ",\n\t"}[d.r.IntN(3)]) + "}"
}

func (d *document) string(o *object) string {
	switch {
	case o.values["format"] == "uuid":
		return fmt.Sprintf(`"%08x-%04x-%04x-%04x-%012x"`, d.r.Uint32(), d.r.IntN(1<<16), d.r.IntN(1<<16), d.r.IntN(1<<16), d.r.Uint64N(1<<48))
	case o.values["format"] == "date":
		return fmt.Sprintf(`"%04d-%02d-%02d"`, d.r.IntN(3000), 1+d.r.IntN(12), 1+d.r.IntN(31))
	case o.has("pattern"): // of rich
		return []string{`"12345"`, `"12345-6789"`, `"1234"`}[d.r.IntN(3)]
	}
	var b strings.Builder
	for range d.number(o, "minLength", 0) + d.r.IntN(10) {
		b.WriteString([]string{"a", "Z", " ", "é", "\n", `"`, `\`, "🙂", "/", "中", "\x7f"}[d.r.IntN(11)])
	}
	return encode(b.String())
}

func (d *document) number(o *object, key string, otherwise int) int {
	if n, ok := o.values[key].(json.Number); ok {
		f, _ := n.Float64()
		return int(f)
	}
	return otherwise
}
