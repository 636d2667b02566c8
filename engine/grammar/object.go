package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// An object of a JSON schema keeps the order of its members, which is the
// order in which a model writes the properties. Values are *object, []any,
// string, json.Number, bool and nil.
type object struct {
	keys   []string
	values map[string]any
	never  bool // of a schema that merging made: nothing is valid
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(key string, v any) {
	if _, ok := o.values[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

func (o *object) has(key string) bool {
	_, ok := o.values[key]
	return ok
}

// without is a copy of o that lacks some keys.
func (o *object) without(keys ...string) *object {
	c := newObject()
	c.never = o.never
	for _, k := range o.keys {
		if !slices.Contains(keys, k) {
			c.set(k, o.values[k])
		}
	}
	return c
}

// decode reads one JSON value.
func decode(data []byte) (any, error) {
	if len(data) > maxSource {
		return nil, fmt.Errorf("it has %d bytes, at most %d allowed", len(data), maxSource)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows after its end")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > 2*maxNesting {
		return nil, fmt.Errorf("it is nested more than %d deep", 2*maxNesting)
	}
	t, err := d.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	switch t {
	case json.Delim('{'):
		o := newObject()
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, fmt.Errorf("it is no JSON: %w", err)
			}
			if o.has(key.(string)) {
				return nil, fmt.Errorf("the key %q comes twice in one object", key)
			}
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			o.set(key.(string), v)
		}
		_, err = d.Token()
		return o, noJSON(err)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, noJSON(err)
	}
	return t, nil
}

func noJSON(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	return nil
}

// encode writes a value without spaces.
func encode(v any) string {
	switch v := v.(type) {
	case *object:
		parts := make([]string, len(v.keys))
		for i, k := range v.keys {
			parts[i] = encode(k) + ":" + encode(v.values[k])
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = encode(e)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case string:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.Encode(v)
		return strings.TrimSuffix(b.String(), "\n")
	}
	return "null"
}

// equal compares as JSON schema does: numbers by value, objects in any order.
func equal(a, b any) bool {
	switch a := a.(type) {
	case *object:
		o, ok := b.(*object)
		if !ok || len(o.keys) != len(a.keys) {
			return false
		}
		for _, k := range a.keys {
			if !o.has(k) || !equal(a.values[k], o.values[k]) {
				return false
			}
		}
		return true
	case []any:
		l, ok := b.([]any)
		return ok && slices.EqualFunc(a, l, equal)
	case json.Number:
		n, ok := b.(json.Number)
		if !ok {
			return false
		}
		x, ok1 := ratOf(a)
		y, ok2 := ratOf(n)
		return ok1 && ok2 && x.Cmp(y) == 0
	}
	return a == b
}
