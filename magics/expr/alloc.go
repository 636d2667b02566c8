package expr

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode"

	"github.com/llcuda/llcuda/tensor"
)

const maxDims = 8

// alloc makes an array of zeros, after it has compared what that takes with
// what the device has.
func (r *run) alloc(dev tensor.Device, d tensor.DType, shape ...int) (*Array, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.fits(dev, d, shape); err != nil {
		return nil, err
	}
	t, err := dev.New(d, shape...)
	if errors.Is(err, tensor.ErrNoMemory) {
		return nil, r.tooBig(dev, d, shape, float64(d.BlockBytes())*float64(tensor.Count(shape))/float64(d.BlockLen()))
	} else if err != nil {
		return nil, err
	}
	r.live = append(r.live, t)
	return &Array{t: t, base: t}, nil
}

// fits checks that a tensor can be: its dimensions, whole blocks, memory.
func (e *Env) fits(dev tensor.Device, d tensor.DType, shape []int) error {
	if len(shape) > maxDims {
		return fmt.Errorf("shape %s has %d dimensions, at most %d allowed", shapeString(shape), len(shape), maxDims)
	}
	count := uint64(1)
	var over uint64
	for _, n := range shape {
		if n < 0 {
			return fmt.Errorf("shape %s has a negative dimension", shapeString(shape))
		}
		hi, lo := bits.Mul64(count, uint64(n))
		over |= hi
		count = lo
	}
	if over == 0 && count > math.MaxInt64 {
		over = 1
	}
	cols := 1
	if len(shape) > 0 {
		cols = shape[len(shape)-1]
	}
	if l := d.BlockLen(); cols%l != 0 && count > 0 {
		return fmt.Errorf("%s holds blocks of %d numbers, and rows of shape %s have %d: make it a multiple of %d, or take %s",
			d, l, shapeString(shape), cols, l, smallerBlock(cols))
	}
	bytes := float64(d.BlockBytes()) / float64(d.BlockLen())
	for _, n := range shape {
		bytes *= float64(n)
	}
	if over != 0 || !e.room(dev, bytes) {
		return e.tooBig(dev, d, shape, bytes)
	}
	return nil
}

// room says whether bytes more can be had. Memory of tensors that are gone
// comes back late by itself, so it is fetched before the answer is no.
func (e *Env) room(dev tensor.Device, bytes float64) bool {
	if e.enough(dev, bytes) {
		return true
	}
	debug.FreeOSMemory()
	return e.enough(dev, bytes)
}

func (e *Env) enough(dev tensor.Device, bytes float64) bool {
	free, total := e.memory(dev)
	return total <= 0 || bytes <= float64(free)
}

// memory is what dev has. Zeros that nobody wrote yet still look free to the
// system, so the tensors here are counted too.
func (e *Env) memory(dev tensor.Device) (free, total int64) {
	free, total = dev.Memory()
	return max(0, min(free, total-e.Bytes(dev))), total
}

func (e *Env) tooBig(dev tensor.Device, d tensor.DType, shape []int, bytes float64) error {
	free, total := e.memory(dev)
	return fmt.Errorf("a tensor of shape %s and type %s takes %s, and %s has %s free of %s; delete tensors (del A) or make it smaller",
		shapeString(shape), d, size(bytes), dev.Name(), size(float64(free)), size(float64(total)))
}

// smallerBlock names types whose blocks fit rows of cols numbers.
func smallerBlock(cols int) string {
	switch {
	case cols%256 == 0:
		return "q4_k or q6_k (blocks of 256)"
	case cols%32 == 0:
		return "q8_0 or q4_0 (blocks of 32)"
	}
	return "a type without blocks (f16, bf16)"
}

// size shows bytes.
func size(n float64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%.0f bytes", n)
	}
	for i := range len(units) {
		if n /= 1000; n < 999.5 || i == len(units)-1 {
			return fmt.Sprintf("%.3g %cB", n, units[i])
		}
	}
	return ""
}

// place makes an array of numbers on the host.
func (r *run) place(dev tensor.Device, d tensor.DType, n numbers, shape ...int) (*Array, error) {
	if err := r.fits(dev, d, shape); err != nil {
		return nil, err
	}
	raw, err := encode(d, n)
	if err != nil {
		return nil, err
	}
	return r.placeBytes(dev, d, raw, shape...)
}

// generate makes an array of the numbers that next gives, lo up to hi. It asks
// for a piece at a time, in order: so the host never holds all of them, and an
// interrupt is heard.
func (r *run) generate(dev tensor.Device, d tensor.DType, next func(lo, hi int) numbers, shape ...int) (*Array, error) {
	a, err := r.alloc(dev, d, shape...)
	if err != nil {
		return nil, err
	}
	const piece = 1 << 16 // whole blocks of every type
	flat := a.t.Reshape(a.t.Len())
	for lo := 0; lo < a.t.Len(); lo += piece {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		hi := min(lo+piece, a.t.Len())
		raw, err := encode(d, next(lo, hi))
		if err != nil {
			return nil, err
		}
		if err := dev.Write(flat.Slice(lo, hi), raw); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (r *run) placeBytes(dev tensor.Device, d tensor.DType, raw []byte, shape ...int) (*Array, error) {
	a, err := r.alloc(dev, d, shape...)
	if err != nil || len(raw) == 0 {
		return a, err
	}
	return a, dev.Write(a.t, raw)
}

// full makes an array of one number.
func (r *run) full(dev tensor.Device, d tensor.DType, v Value, shape ...int) (*Array, error) {
	if isInt(d) {
		n, err := toInt(d, v)
		if err != nil {
			return nil, err
		}
		v = n
	}
	a, err := r.alloc(dev, d, shape...)
	if err != nil || v == Value(int64(0)) || a.t.Len() == 0 {
		return a, err
	}
	if exact(v) && !d.Quantised() {
		s := r.stream(dev)
		s.Fill(a.t, float32(toFloat(v)))
		return a, s.Err()
	}
	one := numbers{floats: make([]float64, d.BlockLen())}
	for i := range one.floats {
		one.floats[i] = toFloat(v)
	}
	if n, ok := v.(int64); ok && isInt(d) {
		one = numbers{ints: []int64{n}}
	}
	block, err := encode(d, one)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, a.t.Bytes())
	for n := copy(raw, block); n < len(raw); n *= 2 {
		copy(raw[n:], raw[:n])
	}
	return a, dev.Write(a.t, raw)
}

func shapeString(shape []int) string {
	var b strings.Builder
	b.WriteByte('(')
	for i, n := range shape {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(n))
	}
	if len(shape) == 1 {
		b.WriteByte(',')
	}
	return b.String() + ")"
}

// Put makes data, numbers of type d, the variable name: a copy on the default
// device.
func (e *Env) Put(name string, d tensor.DType, shape []int, data []byte) error {
	if !IsName(name) {
		return fmt.Errorf("%q cannot be the name of a variable", name)
	}
	r := &run{Env: e, ctx: context.Background()}
	a, err := r.placeBytes(e.Devices[0], d, data, shape...)
	if err != nil {
		return err
	}
	e.Vars.Set(name, a)
	e.Sweep()
	return nil
}

// IsName says whether a variable may have this name.
func IsName(id string) bool { return isName(id) && !reserved(id) }

func isName(id string) bool {
	for i, r := range id {
		if !nameRune(r) || i == 0 && unicode.IsDigit(r) {
			return false
		}
	}
	return id != ""
}
