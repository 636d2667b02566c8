package grammar

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A SchemaError says what of a JSON schema cannot be kept, and where.
type SchemaError struct {
	Path    string // a JSON pointer: "#/properties/age"
	Keyword string // "" if the whole schema is meant
	Msg     string
}

func (e *SchemaError) Error() string {
	if e.Keyword == "" {
		return fmt.Sprintf("grammar: schema: %s: %s", e.Path, e.Msg)
	}
	return fmt.Sprintf("grammar: schema: %s: %s: %s", e.Path, e.Keyword, e.Msg)
}

// FromSchema makes a grammar of a JSON schema, draft 2020-12 or one before it.
// Every text of it is a JSON value that is valid for the schema. The reverse
// does not hold: of the valid values the grammar has those that are written as
// models write them. Properties come in the order of the schema; where it does
// not say additionalProperties there are none, and likewise with prefixItems;
// between two tokens there is at most a space, or a line's end and the next
// line's start, and nothing before a comma or colon; numbers have a bounded
// length.
//
// What the grammar could not keep is an error, of type *SchemaError, and so is
// an unknown keyword. Known are type, enum, const, properties, required,
// additionalProperties, minProperties and maxProperties up to 1 or where they
// follow from the rest, items, prefixItems, minItems, maxItems, minLength,
// maxLength, pattern (without look-around, back references and \b), format
// (date, time, date-time, duration, email, hostname, ipv4, ipv6, uuid, uri),
// minimum, maximum, exclusiveMinimum, exclusiveMaximum, anyOf, oneOf (whose
// branches must be seen to exclude each other), allOf, $ref inside the
// document, $defs, and what only describes.
func FromSchema(schema []byte) (*Grammar, error) {
	root, err := decode(schema)
	if err != nil {
		return nil, &SchemaError{Path: "#", Msg: err.Error()}
	}
	b := newBuilder(root)
	return b.grammar("schema", string(schema), func() *expr { return b.named(root, "#") })
}

// AnyObject is the grammar of all JSON objects, written as FromSchema says.
func AnyObject() *Grammar {
	b := newBuilder(true)
	g, err := b.grammar("object", "", func() *expr { return b.library("object") })
	if err != nil {
		panic(err) // the library is ours
	}
	return g
}

// A builder makes rules of schemas. The first error stays in err; from then on
// expressions mean nothing.
type builder struct {
	root     any
	rules    []rule
	paths    []string        // where each rule comes from
	known    map[*object]int // rules of schemas that others refer to
	lib      map[string]int  // rules of the library
	never    map[int]bool    // rules that no value belongs to
	depth    int
	size     int
	flats    int          // calls of flatten in each other
	flatPath string       // of the first of them
	why      *SchemaError // why some schema has no value
	err      *SchemaError
}

// maxSize bounds how many schemas are looked at, with those that merging
// makes.
const maxSize = 20_000

func newBuilder(root any) *builder {
	return &builder{root: root, known: map[*object]int{}, lib: map[string]int{}, never: map[int]bool{}}
}

func (b *builder) grammar(kind, source string, root func() *expr) (*Grammar, error) {
	b.rule("root", "#")
	body := root()
	switch {
	case b.err != nil:
		return nil, b.err
	case body == nil && b.why != nil:
		return nil, b.why
	case body == nil:
		return nil, &SchemaError{Path: "#", Msg: "no value is valid"}
	}
	b.rules[0].body = body
	g := &Grammar{rules: b.rules, source: source, kind: kind}
	err := g.check()
	var r *ruleError
	switch {
	case errors.As(err, &r):
		msg := "refers to itself in a way that has no end: every value holds another one"
		if strings.Contains(r.msg, "left recursion") {
			msg = "refers to itself with nothing in between"
		}
		return nil, &SchemaError{Path: b.paths[r.rule], Msg: msg}
	case err != nil:
		return nil, &SchemaError{Path: "#", Msg: err.Error()}
	}
	return g, nil
}

func (b *builder) rule(name, path string) int {
	b.rules = append(b.rules, rule{name: name})
	b.paths = append(b.paths, path)
	return len(b.rules) - 1
}

// fail notes an error. What it returns is no value: nil.
func (b *builder) fail(path, keyword, format string, args ...any) *expr {
	if b.err == nil {
		b.err = &SchemaError{path, keyword, fmt.Sprintf(format, args...)}
	}
	return nil
}

// nothing notes why no value is valid here, and returns nil: that may be fine,
// of an optional property or of one way among others.
func (b *builder) nothing(path, keyword, format string, args ...any) *expr {
	if b.why == nil {
		b.why = &SchemaError{path, keyword, fmt.Sprintf(format, args...)}
	}
	return nil
}

// named is the rule of a schema that may refer to itself.
func (b *builder) named(schema any, path string) *expr {
	o, ok := schema.(*object)
	if !ok {
		return b.value(schema, path)
	}
	i, ok := b.known[o]
	if !ok {
		i = b.rule(path, path)
		b.known[o] = i
		body := b.value(o, path)
		if body == nil {
			b.never[i] = true
			body = &expr{op: opAlt} // no way through
		}
		b.rules[i].body = body
	}
	if b.never[i] {
		return nil
	}
	return ref(i)
}

// value is the texts of one schema; nil: there are none, or an error.
func (b *builder) value(schema any, path string) *expr {
	if b.err != nil {
		return nil
	}
	b.depth++
	b.size++
	defer func() { b.depth-- }()
	if b.depth > maxNesting {
		return b.fail(path, "", "the schema is nested more than %d deep", maxNesting)
	}
	if b.size > maxSize {
		return b.fail(path, "", "the schema is too large: more than %d schemas in it", maxSize)
	}
	switch s := schema.(type) {
	case bool:
		if s {
			return b.library("value")
		}
		return nil
	case *object:
		if target, ok := s.values["$ref"]; ok && !s.without("$ref").restricts() {
			return b.refer(target, path)
		}
		if s = b.flatten(s, path); s == nil {
			return nil
		}
		return b.flat(s, path)
	}
	return b.fail(path, "", "want a schema: an object, true or false, not %s", kindOf(schema))
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "a list"
	case *object:
		return "an object"
	}
	return "a number"
}

// refer is the schema that $ref names.
func (b *builder) refer(target any, path string) *expr {
	s, to, ok := b.resolve(target, path)
	if !ok {
		return nil
	}
	return b.named(s, to)
}

// resolve follows a reference inside the document.
func (b *builder) resolve(target any, path string) (schema any, to string, ok bool) {
	name, ok := target.(string)
	if !ok {
		b.fail(path, "$ref", "want a string, not %s", kindOf(target))
		return nil, "", false
	}
	pointer, local := strings.CutPrefix(name, "#")
	if !local || pointer != "" && pointer[0] != '/' {
		b.fail(path, "$ref", "%q is not in this document; only references such as #/$defs/name are supported", name)
		return nil, "", false
	}
	schema = b.root
	for _, part := range strings.Split(pointer, "/")[1:] {
		if p, err := url.PathUnescape(part); err == nil {
			part = p
		}
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch s := schema.(type) {
		case *object:
			schema, ok = s.values[part]
		case []any:
			i, err := strconv.Atoi(part)
			if ok = err == nil && i >= 0 && i < len(s); ok {
				schema = s[i]
			}
		default:
			ok = false
		}
		if !ok {
			b.fail(path, "$ref", "%q is not there", name)
			return nil, "", false
		}
	}
	return schema, name, true
}

// flat is the texts of a schema without $ref and allOf.
func (b *builder) flat(o *object, path string) *expr {
	if !b.check(o, path) {
		return nil
	}
	if o.never {
		return b.nothing(path, "", "its parts exclude each other: no value is valid")
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		if o.has(key) {
			return b.oneOf(o, key, path)
		}
	}
	if o.has("const") || o.has("enum") {
		return b.literals(o, path)
	}
	types, ok := b.types(o, path)
	if !ok {
		return nil
	}
	if len(types) == 0 {
		return b.library("value")
	}
	var ways []*expr
	for _, t := range types {
		if e := b.typed(o, t, path); e != nil {
			ways = append(ways, e)
		}
	}
	if len(ways) == 0 {
		return b.nothing(path, "", "no value is valid")
	}
	return alt(ways...)
}

// typed is the texts of one type.
func (b *builder) typed(o *object, t, path string) *expr {
	switch t {
	case "object":
		return b.object(o, path)
	case "array":
		return b.array(o, path)
	case "string":
		return b.string(o, path)
	case "integer", "number":
		return b.number(o, t, path)
	case "boolean":
		return alt(text("true"), text("false"))
	}
	return text("null")
}

var allTypes = []string{"object", "array", "string", "number", "integer", "boolean", "null"}

// types are those that o names, or that its keywords are about; none: it does
// not say.
func (b *builder) types(o *object, path string) (types []string, ok bool) {
	switch t := o.values["type"].(type) {
	case string:
		types = []string{t}
	case []any:
		for _, v := range t {
			s, _ := v.(string)
			types = append(types, s)
		}
		if len(types) == 0 {
			b.fail(path, "type", "the list is empty")
			return nil, false
		}
	case nil:
		if o.has("type") {
			b.fail(path, "type", "want a string or a list of strings, not null; the type is \"null\"")
			return nil, false
		}
		for _, k := range o.keys {
			if t, ok := aboutType(k); ok && t != "" && !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	default:
		b.fail(path, "type", "want a string or a list of strings, not %s", kindOf(t))
		return nil, false
	}
	for _, t := range types {
		if !slices.Contains(allTypes, t) {
			b.fail(path, "type", "%q is no type; there are %s", t, strings.Join(allTypes, ", "))
			return nil, false
		}
	}
	if slices.Contains(types, "number") { // an integer is one
		types = slices.DeleteFunc(types, func(t string) bool { return t == "integer" })
	}
	return types, true
}

// child is the path of a part of a schema.
func child(path string, parts ...string) string {
	for _, p := range parts {
		path += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(p)
	}
	return path
}
