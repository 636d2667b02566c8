package expr

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// Printing follows PyTorch's torch/_tensor_str.py: 4 digits, lines of 80
// characters, and more than 1000 numbers are summarised by 3 at each end.
const (
	precision = 4
	lineWidth = 80
	threshold = 1000
	edgeItems = 3
)

// Text is a value as the notebook shows it.
func (e *Env) Text(v Value) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return floatText(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case string:
		return strconv.Quote(v), nil
	case tensor.DType:
		return v.String(), nil
	case tensor.Device:
		return v.Name(), nil
	case List:
		return e.listText(v)
	case Listing:
		if len(v) == 1 {
			return "no variables yet; make one with %tensor A = randn(2, 3)", nil
		}
		return strings.TrimSuffix(columns(v), "\n"), nil
	case *Array:
		return e.arrayText(v)
	}
	return fmt.Sprint(v), nil
}

// floatText is the shortest text that reads back as v, with a point, as in
// Python.
func floatText(v float64) string {
	if math.IsInf(v, 0) {
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(v, 'g', -1, 64)), "+")
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		format = 'e'
	}
	s := strings.ToLower(strconv.FormatFloat(v, format, -1, 64))
	if !strings.ContainsAny(s, ".en") {
		s += ".0"
	}
	return s
}

func (e *Env) listText(l List) (string, error) {
	open, end := "[", "]"
	if l.Tuple {
		open, end = "(", ")"
	}
	parts := make([]string, len(l.Items))
	for i, x := range l.Items {
		var err error
		if parts[i], err = e.Text(x); err != nil {
			return "", err
		}
	}
	if l.Tuple && len(parts) == 1 {
		end = ",)"
	}
	return open + strings.Join(parts, ", ") + end, nil
}

// brief describes a value in an error message.
func (e *Env) brief(v Value) string {
	switch v := v.(type) {
	case *Array:
		return "a tensor of shape " + shapeString(v.Shape())
	case List:
		return fmt.Sprintf("a list of %d", len(v.Items))
	case nil:
		return "nothing"
	case tensor.DType:
		return "the type " + v.String()
	case tensor.Device:
		return "the device " + v.Name()
	}
	s, _ := e.Text(v)
	return s
}

func (e *Env) arrayText(a *Array) (string, error) {
	if err := e.sync(); err != nil {
		return "", err
	}
	const prefix = "tensor("
	var suffixes []string
	if a.Device() != e.Devices[0] || a.Device().Name() != "cpu" {
		suffixes = append(suffixes, "device='"+a.Device().Name()+"'")
	}
	body, empty := "[]", a.t.Len() == 0
	if empty {
		if len(a.t.Shape) != 1 {
			suffixes = append(suffixes, "size="+shapeString(a.Shape()))
		}
	} else {
		x, err := excerptOf(a)
		if err != nil {
			return "", err
		}
		body = x.text(len(prefix))
	}
	if d := a.DType(); d != tensor.F32 && (empty || d != tensor.I64) {
		suffixes = append(suffixes, "dtype="+d.String())
	}
	out := prefix + body
	last := len(out) - strings.LastIndexByte(out, '\n') + 1 // one more than there is, like the original
	for _, s := range suffixes {
		if last+len(s)+2 > lineWidth {
			out += ",\n" + strings.Repeat(" ", len(prefix)) + s
			last = len(prefix) + len(s)
		} else {
			out += ", " + s
			last += len(s) + 2
		}
	}
	return out + ")", nil
}

func (e *Env) sync() error { return (&run{Env: e}).sync() }

// An excerpt holds the numbers of a tensor that are shown.
type excerpt struct {
	numbers
	shape []int  // of the numbers here
	cut   []bool // the dimension is longer: "…" stands in its middle
	d     tensor.DType
}

func excerptOf(a *Array) (*excerpt, error) {
	t := a.t
	x := &excerpt{d: t.DType, shape: slices.Clone(t.Shape), cut: make([]bool, len(t.Shape))}
	if t.Len() > threshold {
		for i, n := range t.Shape {
			if n > 2*edgeItems {
				x.shape[i], x.cut[i] = 2*edgeItems, true
			}
		}
	}
	if isInt(t.DType) {
		x.ints = []int64{}
	}
	if err := x.collect(t, 0); err != nil {
		return nil, err
	}
	if a.flip {
		x.transpose()
	}
	return x, nil
}

// collect appends the shown numbers of t, which is entry of dimension dim.
func (x *excerpt) collect(t *tensor.Tensor, dim int) error {
	if dim == len(x.cut) || !slices.Contains(x.cut[dim:], true) {
		return x.take(t, 0, t.Len())
	}
	n := t.Shape[0]
	if dim == len(x.cut)-1 { // the last dimension, cut
		if err := x.take(t, 0, edgeItems); err != nil {
			return err
		}
		return x.take(t, n-edgeItems, n)
	}
	for i := range n {
		if x.cut[dim] && i >= edgeItems && i < n-edgeItems {
			continue
		}
		if err := x.collect(t.Slice(i, i+1).Reshape(t.Shape[1:]...), dim+1); err != nil {
			return err
		}
	}
	return nil
}

// take reads the numbers lo to hi of t, in whole blocks.
func (x *excerpt) take(t *tensor.Tensor, lo, hi int) error {
	l := t.DType.BlockLen()
	from, to := lo/l*l, (hi+l-1)/l*l
	raw, err := read(t.Reshape(t.Len()).Slice(from, to))
	if err != nil {
		return err
	}
	n := decode(t.DType, raw)
	if n.ints != nil {
		x.ints = append(x.ints, n.ints[lo-from:hi-from]...)
	} else {
		x.floats = append(x.floats, n.floats[lo-from:hi-from]...)
	}
	return nil
}

// transpose turns an excerpt of two dimensions.
func (x *excerpt) transpose() {
	rows, cols := x.shape[0], x.shape[1]
	ints, floats := slices.Clone(x.ints), slices.Clone(x.floats)
	for i := range rows {
		for j := range cols {
			if ints != nil {
				x.ints[j*rows+i] = ints[i*cols+j]
			} else {
				x.floats[j*rows+i] = floats[i*cols+j]
			}
		}
	}
	slices.Reverse(x.shape)
	slices.Reverse(x.cut)
}

// text lays the numbers out in nested brackets.
func (x *excerpt) text(indent int) string {
	f := newFormat(x.numbers)
	if len(x.shape) == 0 {
		return f.cell(x.numbers, 0)
	}
	var b strings.Builder
	x.write(&b, f, 0, 0, indent)
	return b.String()
}

// write appends the entry of dimension dim whose first number is at.
func (x *excerpt) write(b *strings.Builder, f format, dim, at, indent int) {
	n := x.shape[dim]
	b.WriteByte('[')
	if dim == len(x.shape)-1 {
		var cells []string
		for i := range n {
			if x.cut[dim] && i == edgeItems {
				cells = append(cells, " ...")
			}
			cells = append(cells, f.cell(x.numbers, at+i))
		}
		perLine := max(1, (lineWidth-indent)/(f.width+2))
		for i, c := range cells {
			switch {
			case i == 0:
			case i%perLine == 0:
				b.WriteString(",\n" + strings.Repeat(" ", indent+1))
			default:
				b.WriteString(", ")
			}
			b.WriteString(c)
		}
	} else {
		gap := "," + strings.Repeat("\n", len(x.shape)-dim-1) + strings.Repeat(" ", indent+1)
		step := tensor.Count(x.shape[dim+1:])
		for i := range n {
			if i > 0 {
				b.WriteString(gap)
			}
			if x.cut[dim] && i == edgeItems {
				b.WriteString("..." + gap)
			}
			x.write(b, f, dim+1, at+i*step, indent+1)
		}
	}
	b.WriteByte(']')
}

// A format is one way of writing for all numbers of a tensor.
type format struct {
	ints, whole, sci bool
	width            int
}

// newFormat chooses like PyTorch: integers as they are, floats that are all
// whole with a bare point, e-notation where sizes differ by more than 1000.
func newFormat(n numbers) format {
	f := format{ints: n.ints != nil, whole: true, width: 1}
	if f.ints {
		for i := range n.ints {
			f.width = max(f.width, len(f.raw(n, i)))
		}
		return f
	}
	lo, hi := math.Inf(1), 0.0
	for _, v := range n.floats {
		if a := math.Abs(v); v != 0 && !math.IsInf(v, 0) && v == v {
			lo, hi = min(lo, a), max(hi, a)
			f.whole = f.whole && v == math.Ceil(v)
		}
	}
	if hi == 0 {
		f.width = 1
		return f
	}
	f.sci = hi/lo > 1000 || hi > 1e8 || !f.whole && lo < 1e-4
	for i, v := range n.floats {
		if v != 0 && !math.IsInf(v, 0) && v == v {
			f.width = max(f.width, len(f.raw(n, i)))
		}
	}
	return f
}

func (f format) raw(n numbers, i int) string {
	if f.ints {
		return strconv.FormatInt(n.ints[i], 10)
	}
	v := n.floats[i]
	switch {
	case v != v:
		return "nan"
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	case f.sci:
		return strconv.FormatFloat(v, 'e', precision, 64)
	case f.whole:
		return strconv.FormatFloat(v, 'f', 0, 64) + "."
	}
	return strconv.FormatFloat(v, 'f', precision, 64)
}

func (f format) cell(n numbers, i int) string {
	s := f.raw(n, i)
	return strings.Repeat(" ", max(0, f.width-len(s))) + s
}

// A Listing is the value of list: the variables, one a row, below a head.
type Listing [][]string

func (e *Env) list() Listing {
	rows := Listing{{"name", "type", "shape or value", "device", "size"}}
	for _, id := range e.Vars.Names() {
		switch v, _ := e.Vars.Get(id); v := v.(type) {
		case *Array:
			rows = append(rows, []string{id, v.DType().String(), shapeString(v.Shape()), v.Device().Name(), size(float64(v.Bytes()))})
		default:
			text, _ := e.Text(v)
			if r := []rune(text); len(r) > 40 {
				text = string(r[:39]) + "…"
			}
			rows = append(rows, []string{id, kindOf(v), text, "", ""})
		}
	}
	return rows
}

func kindOf(v Value) string {
	switch v.(type) {
	case int64:
		return "int"
	case float64:
		return "float"
	case bool:
		return "bool"
	case string:
		return "text"
	case List:
		return "list"
	case tensor.DType:
		return "type"
	case tensor.Device:
		return "device"
	}
	return "value"
}

func columns(rows [][]string) string {
	var width []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, c := range row {
			line += c + strings.Repeat(" ", width[i]-len([]rune(c))+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
