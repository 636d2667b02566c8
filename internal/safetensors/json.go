package safetensors

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"
)

// A reader walks over JSON word by word. What it meets is fixed by its
// callers, so depth costs no memory. The first error stays.
type reader struct {
	dec *json.Decoder
	err error
}

// newReader begins a text. encoding/json would replace what is not Unicode, and
// so make two names one.
func newReader(b []byte) *reader {
	r := &reader{dec: json.NewDecoder(bytes.NewReader(b))}
	r.dec.UseNumber()
	switch {
	case !utf8.Valid(b):
		r.fail("is not UTF-8")
	case loneSurrogate(b):
		r.fail("has an escape that is half a character")
	}
	return r
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = errorf(format, args...)
	}
}

func (r *reader) token() json.Token {
	if r.err != nil {
		return nil
	}
	t, err := r.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		r.fail("is no JSON: %w", err)
		return nil
	}
	return t
}

// delim reads a bracket.
func (r *reader) delim(want json.Delim, what string) {
	if t := r.token(); r.err == nil && t != want {
		r.fail("%s is %s, want %s", what, kindOf(t), kindOf(want))
	}
}

// object reads an object; each is called for every key and reads its value. A
// key that is there twice is an error.
func (r *reader) object(what string, each func(key string)) {
	r.delim('{', what)
	seen := map[string]bool{}
	for r.err == nil && r.dec.More() {
		key, _ := r.token().(string)
		if seen[key] {
			r.fail("%s is there twice", named("key", key))
		}
		seen[key] = true
		if r.err == nil {
			each(key)
		}
	}
	if r.err == nil {
		r.delim('}', what)
	}
}

// text reads a string.
func (r *reader) text(what string) string {
	t := r.token()
	s, ok := t.(string)
	if r.err == nil && !ok {
		r.fail("%s is %s, want a string", what, kindOf(t))
	}
	return s
}

// ints reads an array of whole numbers, none negative, at most so many.
func (r *reader) ints(what string, most int) []int {
	r.delim('[', what)
	list := []int{}
	for r.err == nil && r.dec.More() {
		t := r.token()
		n, ok := t.(json.Number)
		if r.err == nil && !ok {
			r.fail("%s has %s, want numbers", what, kindOf(t))
			break
		}
		i, err := strconv.ParseUint(n.String(), 10, 64)
		switch {
		case r.err != nil:
		case err != nil || i > maxInt:
			r.fail("%s has %.30s, want a whole number from 0 to %d", what, n, maxInt)
		case len(list) == most:
			r.fail("%s has more than %d numbers", what, most)
		}
		list = append(list, int(i))
	}
	if r.err == nil {
		r.delim(']', what)
	}
	return list
}

// skip reads any value that is not nested deeper than so.
func (r *reader) skip(deepest int) {
	for depth := 0; r.err == nil; {
		switch t := r.token(); t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > deepest {
				r.fail("is nested deeper than %d", deepest)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return
		}
	}
}

// end says that nothing but white space may follow.
func (r *reader) end() error {
	if r.err == nil {
		if t, err := r.dec.Token(); err != io.EOF {
			if err != nil {
				r.fail("has more after the end of its JSON: %w", err)
			} else {
				r.fail("has more after the end of its JSON: %s", kindOf(t))
			}
		}
	}
	return r.err
}

func kindOf(t json.Token) string {
	switch t := t.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case json.Delim:
		switch t {
		case '{':
			return "an object"
		case '[':
			return "an array"
		}
		return "the end of it"
	}
	return "something else"
}

// loneSurrogate finds \ud800 to \udfff that are no pair. A backslash is in
// strings only, or the text is no JSON anyway.
func loneSurrogate(b []byte) bool {
	unit := func(i int) uint64 { // of an escape at i; 0 if there is none
		if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
			return 0
		}
		u, _ := strconv.ParseUint(string(b[i+2:i+6]), 16, 16)
		return u
	}
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case u>>10 == 0xd800>>10 && unit(i+6)>>10 == 0xdc00>>10:
			i += 11
		case u>>11 == 0xd800>>11:
			return true
		case u != 0:
			i += 5
		default:
			i++
		}
	}
	return false
}
