package jupyter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// parseJSON reads one JSON value; numbers stay json.Number.
func parseJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// plainJSON turns v into what parseJSON returns.
func plainJSON(v any) (any, error) {
	data, err := encode(v)
	if err != nil {
		return nil, err
	}
	return parseJSON(data)
}

// appendJSON writes v like Python's json.dumps(v, ensure_ascii=False, indent=1,
// sort_keys=True, separators=(",", ": ")). v is made of the values of parseJSON.
func appendJSON(b []byte, v any, depth int) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case json.Number:
		return append(b, pyNumber(string(v))...)
	case string:
		return appendString(b, v)
	case []any:
		if len(v) == 0 {
			return append(b, "[]"...)
		}
		for i, e := range v {
			b = appendBreak(append(b, "[,"[min(i, 1)]), depth+1)
			b = appendJSON(b, e, depth+1)
		}
		return append(appendBreak(b, depth), ']')
	case map[string]any:
		if len(v) == 0 {
			return append(b, "{}"...)
		}
		for i, key := range slices.Sorted(maps.Keys(v)) {
			b = appendBreak(append(b, "{,"[min(i, 1)]), depth+1)
			b = append(appendString(b, key), ": "...)
			b = appendJSON(b, v[key], depth+1)
		}
		return append(appendBreak(b, depth), '}')
	}
	plain, err := plainJSON(v) // a Go value that the caller put there
	if err != nil {
		return appendString(b, fmt.Sprint(v))
	}
	return appendJSON(b, plain, depth)
}

func appendBreak(b []byte, depth int) []byte {
	b = append(b, '\n')
	for range depth {
		b = append(b, ' ')
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= 0x20:
			b = append(b, string(r)...)
		case strings.ContainsRune("\b\f\n\r\t", r):
			b = append(b, '\\', "btn.fr"[r-'\b'])
		default:
			b = fmt.Appendf(b, "\\u%04x", r)
		}
	}
	return append(b, '"')
}

// pyNumber writes a JSON number as Python writes it after reading it: integers
// as they are, others like repr of a float.
func pyNumber(s string) string {
	if !strings.ContainsAny(s, ".eE") {
		if i, ok := new(big.Int).SetString(s, 10); ok {
			return i.String() // -0 is 0
		}
		return s
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case err != nil:
		return s
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
