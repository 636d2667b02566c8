package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/tensor"
)

// A blend is a set of adapters with their scales, on the devices. The A of all
// of them are one matrix for each product, and so are the B, times the scales:
// several adapters cost two small products, as one does. Those who use the same
// set share its blend.
type blend struct {
	of     []Scaled
	uses   int      // sessions, batchers and the model
	net    *network // the model's, with the weights that adapters replace
	deltas map[*tensor.Tensor]*delta
	placed []*tensor.Tensor
}

// A delta is what is added to a product with a weight (out, in) of the network:
// gain·(W·x) + B·(A·x) + bias, where scales and gains are in B.
type delta struct {
	a    *tensor.Tensor // (rank, in); of the embedding (vocab, rank)
	b    *tensor.Tensor // (out, rank)
	gain *tensor.Tensor // (out) f32, of DoRA; or nil
	bias *tensor.Tensor // (out) f32, or nil
}

// rankStep is what ranks are filled up to multiples of, with zeros: rows of A·x
// and of B begin where devices like it.
const rankStep = 8

func (b *blend) parts() []Scaled {
	if b == nil {
		return nil
	}
	return b.of
}

// blend makes a set ready, or finds it; nil is the base alone. Who has it
// drops it in the end.
func (m *Model) blend(set []Scaled) (*blend, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("engine: set adapters: the model is closed")
	}
	set, err := m.normal(set)
	if err != nil || len(set) == 0 {
		return nil, err
	}
	for _, b := range m.blends {
		if slices.Equal(b.of, set) {
			b.uses++
			return b, nil
		}
	}
	b := &blend{of: set, uses: 1, deltas: map[*tensor.Tensor]*delta{}}
	if err := b.make(m); err != nil {
		b.free()
		return nil, fmt.Errorf("engine: set adapters: %w", err)
	}
	m.blends = append(m.blends, b)
	return b, nil
}

// take begins one more use of a blend; m.mu is held.
func (m *Model) take(b *blend) {
	if b != nil {
		b.uses++
	}
}

// drop ends one use of a blend.
func (m *Model) drop(b *blend) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leave(b)
}

// leave is drop while m.mu is held.
func (m *Model) leave(b *blend) {
	if b == nil {
		return
	}
	if b.uses--; b.uses == 0 {
		m.blends = slices.DeleteFunc(m.blends, func(o *blend) bool { return o == b })
		b.free()
	}
}

func (b *blend) free() {
	for _, t := range b.placed {
		t.Device.Free(t)
	}
	b.placed = nil
}

// network is the one that b's users compute with.
func (m *Model) network(b *blend) *network {
	if b == nil {
		return m.net
	}
	return b.net
}

func (b *blend) make(m *Model) error {
	n := *m.net
	n.layers = slices.Clone(n.layers)
	if n.output == n.embed && n.output != nil { // what changes one leaves the other
		output := *n.output
		n.output = &output
	}
	b.net = &n
	var names []string // of weights that change, in the order of the adapters
	whole := map[string]string{}
	for _, s := range b.of {
		for _, t := range s.changes.Whole {
			if other := whole[t.Name]; other != "" {
				return fmt.Errorf("%s and %s both have a %q of their own; switch one off", other, s.info.Name, t.Name)
			}
			whole[t.Name] = s.info.Name
			if err := b.replace(m, t); err != nil {
				return err
			}
		}
		for i := range s.changes.Deltas {
			if name := s.changes.Deltas[i].Name; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		if err := b.change(m, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// replace puts a weight, a bias or a norm into the places of the base's.
func (b *blend) replace(m *Model, t *gguf.Tensor) error {
	for _, h := range m.homes(t.Name) {
		at, was := b.field(m, h.dst), *h.dst
		if was == nil {
			return fmt.Errorf("the model has no %q in use", t.Name)
		}
		w := weight{name: t.Name, dtype: t.DType, shape: was.Shape, from: t, row: h.row}
		if len(was.Shape) == 1 { // f32, as the operations on vectors want
			f, err := lora.Floats(t)
			if err != nil {
				return err
			}
			w.dtype, w.data = tensor.F32, make([]byte, tensor.F32.Bytes(was.Len()))
			tensor.F32.Encode(w.data, f[:was.Len()])
		}
		if err := b.place(was.Device, &w, at); err != nil {
			return err
		}
	}
	return nil
}

// field is the place in b's network that dst is in the model's.
func (b *blend) field(m *Model, dst **tensor.Tensor) **tensor.Tensor {
	p, layers := uintptr(unsafe.Pointer(dst)), uintptr(unsafe.Pointer(&m.net.layers[0]))
	if size := unsafe.Sizeof(layer{}) * uintptr(len(m.net.layers)); p >= layers && p < layers+size {
		return (**tensor.Tensor)(unsafe.Add(unsafe.Pointer(&b.net.layers[0]), p-layers)) // both have as many layers
	}
	return (**tensor.Tensor)(unsafe.Add(unsafe.Pointer(b.net), p-uintptr(unsafe.Pointer(m.net)))) // a field of network
}

// change makes the deltas of one tensor of the file.
func (b *blend) change(m *Model, name string) error {
	st := newStack(b.of, name)
	if err := st.fill(); err != nil {
		return err
	}
	shared := map[tensor.Device]*tensor.Tensor{} // A, which parts of a fused weight have in common
	for _, h := range m.homes(name) {
		w := *b.field(m, h.dst)
		dtype := tensor.F16
		if (*h.dst).DType == tensor.F32 { // exact, like the weight
			dtype = tensor.F32
		}
		d := &delta{a: shared[w.Device]}
		lo, hi := h.row, h.row+h.rows
		rowsA := len(st.a) / st.cols
		if st.embeds { // its rows are looked up, not made
			lo, hi = 0, st.out
		}
		if d.a == nil {
			if err := b.put(&d.a, w.Device, name+" A", dtype, st.a, rowsA, st.cols); err != nil {
				return err
			}
			shared[w.Device] = d.a
		}
		if err := b.put(&d.b, w.Device, name+" B", dtype, st.b[lo*st.rank:hi*st.rank], hi-lo, st.rank); err != nil {
			return err
		}
		if st.gain != nil {
			if err := b.put(&d.gain, w.Device, name+" gain", tensor.F32, st.gain[lo:hi], hi-lo); err != nil {
				return err
			}
		}
		if st.bias != nil {
			if err := b.put(&d.bias, w.Device, name+" bias", tensor.F32, st.bias[lo:hi], hi-lo); err != nil {
				return err
			}
		}
		b.deltas[w] = d
	}
	return nil
}

// put places numbers of b's own.
func (b *blend) put(dst **tensor.Tensor, dev tensor.Device, name string, dtype tensor.DType, f []float32, shape ...int) error {
	data := make([]byte, dtype.Bytes(len(f)))
	dtype.Encode(data, f)
	return b.place(dev, &weight{name: name, dtype: dtype, shape: shape, data: data}, dst)
}

func (b *blend) place(dev tensor.Device, w *weight, dst **tensor.Tensor) (err error) {
	*dst, err = placeOne(context.Background(), dev, w, func(int) {})
	if err == nil {
		b.placed = append(b.placed, *dst)
	}
	return err
}

// A stack is the deltas of all adapters of a set for one weight, as one.
type stack struct {
	set    []Scaled
	name   string
	parts  []stacked
	embeds bool
	rank   int // of all together, filled up
	out    int
	cols   int       // of A as it lies
	a      []float32 // (rank, in); of the embedding (vocab, rank)
	b      []float32 // (out, rank)
	gain   []float32
	bias   []float32
}

type stacked struct {
	s  Scaled
	d  *lora.Delta
	at int // where its ranks begin
}

func newStack(set []Scaled, name string) *stack {
	st := &stack{name: name}
	for _, s := range set {
		for i := range s.changes.Deltas {
			if d := &s.changes.Deltas[i]; d.Name == name {
				st.parts = append(st.parts, stacked{s, d, st.rank})
				st.rank += d.Rank()
			}
		}
	}
	st.rank = (st.rank + rankStep - 1) / rankStep * rankStep
	d := st.parts[0].d
	st.embeds, st.out, st.cols = d.Embeds(), d.Out(), d.In()
	if st.embeds {
		st.cols = st.rank
		st.a = make([]float32, d.In()*st.rank)
	} else {
		st.a = make([]float32, st.rank*d.In())
	}
	st.b = make([]float32, st.out*st.rank)
	return st
}

func (st *stack) fill() error {
	for _, p := range st.parts {
		if err := st.add(&p); err != nil {
			return fmt.Errorf("%s: %w", p.s.info.Name, err)
		}
	}
	return nil
}

// add copies the numbers of one adapter to their place.
func (st *stack) add(p *stacked) error {
	a, err := lora.Floats(p.d.A)
	if err != nil {
		return err
	}
	b, err := lora.Floats(p.d.B)
	if err != nil {
		return err
	}
	r, scale := p.d.Rank(), p.s.Scale*p.d.Scale
	gains, err := st.gains(p, scale)
	if err != nil {
		return err
	}
	up, down, err := balance(a, b, scale)
	if err != nil {
		return err
	}
	for i, x := range a {
		if st.embeds {
			st.a[i/r*st.rank+p.at+i%r] = x * down
		} else {
			st.a[p.at*st.cols+i] = x * down
		}
	}
	for i := range st.out {
		f := up
		if gains != nil {
			f *= gains[i]
		}
		for j := range r {
			st.b[i*st.rank+p.at+j] = b[i*r+j] * f
		}
	}
	if p.d.Bias == nil {
		return nil
	}
	bias, err := lora.Floats(p.d.Bias)
	if err != nil {
		return err
	}
	if st.bias == nil {
		st.bias = make([]float32, st.out)
	}
	for i, x := range bias {
		st.bias[i] += scale * x
	}
	return nil
}

// gains are DoRA's of one adapter; they add up over adapters as PEFT has it:
// each changes the base's result by (gain-1) of it.
func (st *stack) gains(p *stacked, scale float32) ([]float32, error) {
	if p.d.Magnitude == nil {
		return nil, nil
	}
	if st.gain != nil && st.embeds {
		return nil, fmt.Errorf("two adapters of the set decompose the embedding (DoRA); switch one off")
	}
	magnitude, err := lora.Floats(p.d.Magnitude)
	if err != nil {
		return nil, err
	}
	gains, err := p.s.lengths[st.name].Gains(magnitude, scale)
	if err != nil {
		return nil, err
	}
	if st.gain == nil {
		st.gain = slices.Repeat([]float32{1}, st.out)
	}
	for i, g := range gains {
		st.gain[i] += g - 1
	}
	return gains, nil
}

// balance says what to multiply B and A by, so that both together make scale:
// powers of two, besides, that make them of equal size, for f16.
func balance(a, b []float32, scale float32) (up, down float32, err error) {
	largest := func(f []float32) (m float64, ok bool) {
		for _, x := range f {
			if !(math.Abs(float64(x)) <= math.MaxFloat32) { // NaN, too
				return 0, false
			}
			m = max(m, math.Abs(float64(x)))
		}
		return m, true
	}
	ma, okA := largest(a)
	mb, okB := largest(b)
	mb *= math.Abs(float64(scale))
	switch {
	case !okA || !okB:
		return 0, 0, fmt.Errorf("it has numbers that are not finite; the file is damaged, or the training failed")
	case ma == 0 || mb == 0:
		return scale, 1, nil
	}
	half := int(math.Round(math.Log2(ma/mb) / 2))
	return float32(math.Ldexp(float64(scale), half)), float32(math.Ldexp(1, -half)), nil
}
