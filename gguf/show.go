package gguf

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Show writes what a file holds, for people: a summary, the metadata with long
// values cut, and the tensors.
func (f *File) Show(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "GGUF version %d, %d bytes in %d file(s), %d numbers in %d tensors\n\n", f.Version, f.Size(), max(1, f.Shards()), f.Params(), len(f.Tensors))
	for _, c := range f.TypeCounts() {
		fmt.Fprintf(t, "%s\t%d tensors\t%d numbers\t%d bytes\n", c.DType, c.Tensors, c.Params, c.Bytes)
	}
	fmt.Fprintln(t)
	for _, kv := range f.Meta {
		fmt.Fprintf(t, "%s\t%s\t%s\n", visible(kv.Key), typeName(kv.Value), Brief(kv.Value, 72))
	}
	fmt.Fprintln(t)
	for i := range f.Tensors {
		x := &f.Tensors[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%d bytes\n", visible(x.Name), x.DType, strings.Trim(fmt.Sprint(x.Shape), "[]"), x.Bytes())
	}
	return t.Flush()
}

// typeName is the GGUF name of a value's type: "u32", "string[259]".
func typeName(v any) string {
	r := reflect.TypeOf(v)
	if r.Kind() == reflect.Slice {
		return fmt.Sprintf("%s[%d]", r.Elem(), reflect.ValueOf(v).Len())
	}
	return r.String()
}

// Brief is a value in at most about width characters: strings are quoted, and
// of a list the first entries are shown.
func Brief(v any, width int) string {
	if s, ok := v.(string); ok {
		// No more than width characters are shown, of 4 bytes at most each.
		return cut(fmt.Sprintf("%q", s[:min(len(s), 4*width)]), width)
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice {
		return fmt.Sprint(v)
	}
	var b strings.Builder
	b.WriteString("[")
	for i := range r.Len() {
		if i > 0 {
			b.WriteString(", ")
		}
		if b.Len() > width {
			b.WriteString("…")
			break
		}
		b.WriteString(Brief(r.Index(i).Interface(), 24))
	}
	return b.String() + "]"
}

// cut shortens a text to width characters.
func cut(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return s
}

// visible is a name as it is, or quoted when it would move a terminal's cursor.
func visible(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}
