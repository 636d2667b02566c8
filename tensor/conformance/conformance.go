// Package conformance checks a device: each operation, for each type and many
// shapes, against its float64 twin, which is written here as plainly as the
// operation's definition in package tensor reads.
//
// Results differ from the twin's by a normalised mean squared error, the sum
// of squared differences by the sum of squares of what is wanted. The bounds
// are those of llama.cpp's test-backend-ops: 5e-4 for products and attention,
// which may round their operands to 8 bits, 1e-6 for softmax, none for argmax
// and integers, 1e-7 for the rest. Infinities and NaN have to be equal.
package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/llcuda/llcuda/tensor"
)

// A Case is one operation on one set of operands. Its operands are random, the
// same each time.
type Case struct {
	Op    string  // operation
	Name  string  // what is special: types, shapes
	Bound float64 // largest error; 0 wants equality
	run   func(e *env) (got, want []float64)
}

// Cases lists all cases.
func Cases() []Case {
	var all []Case
	for _, group := range []func() []Case{matMul, rows, norms, ropes, caches, attentions, sequences, forks, alikes, glus, unaries, binaries,
		scales, softmaxes, reductions, argMaxes, topKs, conversions, transposes, fills, randoms, refusals, programs} {
		all = append(all, group()...)
	}
	return all
}

// Check runs a case on a device and returns its error. It fails where the
// error is above the bound. What the device does not have is ErrUnsupported.
func Check(dev tensor.Device, c Case) (nmse float64, err error) {
	e := &env{dev: dev, s: tensor.NewStream(dev), rng: rand.New(rand.NewPCG(1, uint64(len(c.Name))))}
	defer e.free()
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failed)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%s %s: %w", c.Op, c.Name, f.error)
		}
	}()
	got, want := c.run(e)
	nmse, err = compare(got, want)
	if err == nil && !(nmse <= c.Bound) {
		err = fmt.Errorf("error %.3g, at most %.3g allowed", nmse, c.Bound)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", c.Op, c.Name, err)
	}
	return nmse, err
}

// Run runs all cases as subtests and skips what the device does not have.
func Run(t *testing.T, dev tensor.Device) {
	for _, c := range Cases() {
		t.Run(c.Op+"/"+c.Name, func(t *testing.T) {
			switch _, err := Check(dev, c); {
			case errors.Is(err, tensor.ErrUnsupported):
				t.Skip(err)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// compare is the normalised mean squared error.
func compare(got, want []float64) (float64, error) {
	if len(got) != len(want) {
		return 0, fmt.Errorf("%d numbers, want %d", len(got), len(want))
	}
	diff, square := 0.0, 0.0
	for i, w := range want {
		g := got[i]
		if math.IsNaN(w) != math.IsNaN(g) || (math.IsInf(w, 0) || math.IsInf(g, 0)) && w != g {
			return 0, fmt.Errorf("number %d is %v, want %v", i, g, w)
		}
		if math.IsNaN(w) || math.IsInf(w, 0) {
			continue
		}
		diff += (g - w) * (g - w)
		square += w * w
	}
	if diff == 0 {
		return 0, nil
	}
	return diff / square, nil
}

// An env makes a case's operands and gives them back in the end.
type env struct {
	dev  tensor.Device
	s    *tensor.Stream
	rng  *rand.Rand
	made []*tensor.Tensor

	programs []tensor.Program
}

// failed carries an error of the device out of a case.
type failed struct{ error }

func (e *env) must(err error) {
	if err != nil {
		panic(failed{err})
	}
}

func (e *env) free() {
	for _, p := range e.programs {
		p.Free()
	}
	for _, t := range e.made {
		e.dev.Free(t)
	}
}

// empty is a tensor of zeros.
func (e *env) empty(d tensor.DType, shape ...int) *tensor.Tensor {
	t, err := e.dev.New(d, shape...)
	e.must(err)
	e.made = append(e.made, t)
	return t
}

// An operand is a tensor and its numbers.
type operand struct {
	*tensor.Tensor
	x []float64
}

// normal is a tensor of random numbers, and what its type made of them.
func (e *env) normal(d tensor.DType, spread float64, shape ...int) operand {
	data := e.bytes(d, tensor.Count(shape), spread)
	t := e.empty(d, shape...)
	e.must(e.dev.Write(t, data))
	return operand{t, decode(d, data)}
}

// weight is like normal, but placed as a constant.
func (e *env) weight(d tensor.DType, shape ...int) operand {
	data := e.bytes(d, tensor.Count(shape), 1)
	t, err := e.dev.Place("w", d, shape, data)
	e.must(err)
	e.made = append(e.made, t)
	return operand{t, decode(d, data)}
}

// given is a tensor of these numbers.
func (e *env) given(d tensor.DType, x []float64, shape ...int) operand {
	data := encode(d, x)
	t := e.empty(d, shape...)
	e.must(e.dev.Write(t, data))
	return operand{t, decode(d, data)}
}

// ids is a tensor of int32.
func (e *env) ids(x ...int) *tensor.Tensor {
	f := make([]float64, len(x))
	for i, v := range x {
		f[i] = float64(v)
	}
	return e.given(tensor.I32, f, len(x)).Tensor
}

// bytes are n random numbers in a type. A type that has no encoder gets random
// blocks whose numbers are of usual size.
func (e *env) bytes(d tensor.DType, n int, spread float64) []byte {
	if d.CanEncode() {
		x := make([]float64, n)
		for i := range x {
			x[i] = e.rng.NormFloat64() * spread
		}
		return encode(d, x)
	}
	data, size := make([]byte, d.Bytes(n)), d.BlockBytes()
	part := make([]float32, d.BlockLen())
	for at := 0; at < len(data); at += size {
		for usual := false; !usual; {
			for i := range size {
				data[at+i] = byte(e.rng.Uint32())
			}
			d.Decode(part, data[at:at+size])
			top := 0.0
			for _, v := range part {
				top = max(top, math.Abs(float64(v)))
				if v != v {
					top = math.Inf(1)
				}
			}
			usual = top > 0.5 && top < 8
		}
	}
	return data
}

// sync waits for the device.
func (e *env) sync() { e.must(e.s.Sync()) }

// read waits and reads a tensor.
func (e *env) read(t *tensor.Tensor) []float64 {
	e.sync()
	data := make([]byte, t.Bytes())
	e.must(e.dev.Read(data, t))
	return decode(t.DType, data)
}

// decode keeps all bits of float64, and of int64 up to 2⁵³.
func decode(d tensor.DType, data []byte) []float64 {
	n := len(data) / d.BlockBytes() * d.BlockLen()
	x := make([]float64, n)
	switch d {
	case tensor.F64:
		for i := range x {
			x[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
		}
	case tensor.I64:
		for i := range x {
			x[i] = float64(int64(binary.LittleEndian.Uint64(data[8*i:])))
		}
	case tensor.I32:
		for i := range x {
			x[i] = float64(int32(binary.LittleEndian.Uint32(data[4*i:])))
		}
	default:
		f := make([]float32, n)
		d.Decode(f, data)
		for i, v := range f {
			x[i] = float64(v)
		}
	}
	return x
}

func encode(d tensor.DType, x []float64) []byte {
	data := make([]byte, d.Bytes(len(x)))
	switch d {
	case tensor.F64:
		for i, v := range x {
			binary.LittleEndian.PutUint64(data[8*i:], math.Float64bits(v))
		}
	case tensor.I64:
		for i, v := range x {
			binary.LittleEndian.PutUint64(data[8*i:], uint64(int64(v)))
		}
	case tensor.I32:
		for i, v := range x {
			binary.LittleEndian.PutUint32(data[4*i:], uint32(int32(v)))
		}
	default:
		f := make([]float32, len(x))
		for i, v := range x {
			f[i] = float32(v)
		}
		d.Encode(data, f)
	}
	return data
}

// rounded is what a type makes of numbers.
func rounded(d tensor.DType, x []float64) []float64 { return decode(d, encode(d, x)) }

// Type is the type that the case is about: of the weights of a product, of
// what is converted, "" where there is one type only.
func (c Case) Type() string {
	words := strings.FieldsFunc(c.Name, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	words = slices.DeleteFunc(words, func(w string) bool { _, err := tensor.ParseDType(w); return err != nil })
	switch {
	case len(words) == 0:
		return ""
	case c.Op == "convert":
		return words[0]
	}
	return words[len(words)-1]
}
