package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/big"
	"slices"
	"strconv"
)

// A Map is a mapping that keeps the order of its keys, which templates show
// when they print tools as JSON. It is to be filled before it is rendered,
// not after.
type Map struct {
	keys, values []any
	index        map[any]int // of the key's hash
}

// Set adds a key, or changes its value where it is.
func (m *Map) Set(key string, value any) { m.put(key, key, value) }

// Get is the value of a key.
func (m *Map) Get(key string) (any, bool) {
	i, ok := m.index[key]
	if !ok {
		return nil, false
	}
	return m.values[i], true
}

// Len is the number of keys.
func (m *Map) Len() int { return len(m.keys) }

// All yields keys and values in order. Keys that are no strings, which only
// templates can make, are skipped.
func (m *Map) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for i, k := range m.keys {
			if s, ok := asString(k); ok && !yield(s, m.values[i]) {
				return
			}
		}
	}
}

// UnmarshalJSON reads an object, keeping the order of its keys. Numbers
// without point or exponent become integers.
func (m *Map) UnmarshalJSON(data []byte) error {
	v, err := decodeJSON(data)
	if err != nil {
		return err
	}
	read, ok := v.(*Map)
	if !ok {
		return fmt.Errorf("jinja: JSON value is a %s, want an object", typeName(v))
	}
	*m = *read
	return nil
}

func (m *Map) put(hash, key, value any) {
	if m.index == nil {
		m.index = map[any]int{}
	}
	if i, ok := m.index[hash]; ok {
		m.values[i] = value
		return
	}
	m.index[hash] = len(m.keys)
	m.keys = append(m.keys, key)
	m.values = append(m.values, value)
}

func (m *Map) copy() *Map {
	c := &Map{keys: slices.Clone(m.keys), values: slices.Clone(m.values), index: make(map[any]int, len(m.keys))}
	for h, i := range m.index {
		c.index[h] = i
	}
	return c
}

// composite is the hash of a tuple: what its items are, one after the other.
type composite string

// hash is what tells keys apart: equal values have equal hashes. It fails
// for what Python cannot hash.
func (m *machine) hash(v any) any {
	switch v := v.(type) {
	case nil:
		return missing{}
	case bool:
		return toInt(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<62 {
			return int64(v)
		}
		return v
	case *big.Int:
		return composite(v.String())
	case string:
		m.scan(len(v))
	case markup:
		m.scan(len(v))
		return string(v)
	case *list:
		if !v.tuple {
			m.fail("a list cannot be the key of a mapping; use a string")
		}
		defer m.nest()()
		var h []byte
		for _, item := range v.items {
			part := fmt.Sprintf("%#v", m.hash(item))
			h = append(strconv.AppendInt(h, int64(len(part)), 10), part...)
		}
		m.alloc(len(h))
		return composite(h)
	case *Map, *view:
		m.fail("a %s cannot be the key of a mapping; use a string", typeName(v))
	case undefined:
		return undefined{}
	}
	return v
}

// find is the value of a key in d.
func (m *machine) find(d *Map, key any) (any, bool) {
	i, ok := d.index[m.hash(key)]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

// put sets a key of d, which must still be the caller's own.
func (m *machine) put(d *Map, key, value any) {
	m.alloc(64)
	d.put(m.hash(key), key, value)
}

// decodeJSON reads one JSON value, with objects in order.
func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("jinja: text after the JSON value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("jinja: JSON: %w", err)
	}
	if depth > maxNesting {
		return nil, fmt.Errorf("jinja: JSON nested more than %d levels deep", maxNesting)
	}
	switch t := t.(type) {
	case json.Number:
		return number(string(t))
	case json.Delim:
		if t == '[' {
			return decodeList(d, depth+1)
		}
		return decodeMap(d, depth+1)
	}
	return t, nil
}

func decodeList(d *json.Decoder, depth int) (any, error) {
	l := &list{}
	for d.More() {
		v, err := decodeValue(d, depth)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, v)
	}
	_, err := d.Token()
	return l, err
}

func decodeMap(d *json.Decoder, depth int) (any, error) {
	m := &Map{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("jinja: JSON: %w", err)
		}
		v, err := decodeValue(d, depth)
		if err != nil {
			return nil, err
		}
		m.Set(key.(string), v)
	}
	_, err := d.Token()
	return m, err
}
