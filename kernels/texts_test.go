package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

const textsOfTest = 9 // caches for as many

// wideToy has products that are cut into parts, and more numbers in a row than a
// block's threads take at a time. It looks back on positions that are zeros.
var wideToy = toy{name: "wide", dim: 768, heads: 2, kv: 1, hd: 128, ffn: 4160, vocab: 64, ctx: 300, weights: tensor.Q4_K, values: tensor.Q8_0,
	cache: tensor.F16, fn: tensor.GELU, bias: true, headNorm: true, post: true, neox: true}

// crowd records the step of so many rows, each of a text of its own, but the last of
// several, which is of none: ids[i] at pos[i] of text seq[i] to logits.
func (n *net) crowd(rows int, alike tensor.Alike) {
	n.s, n.rng = tensor.NewStream(n.dev), rand.New(rand.NewPCG(7, 7))
	q, kv, f32 := n.heads*n.hd, n.kv*n.hd, tensor.F32
	n.ids, n.pos, n.best, n.seq = n.new(tensor.I32, rows), n.new(tensor.I32, rows), n.new(tensor.I32, rows), n.new(tensor.I32, rows)
	n.out = n.new(f32, rows, n.vocab)
	x, h, gate, up := n.new(f32, rows, n.dim), n.new(f32, rows, n.dim), n.new(f32, rows, n.ffn), n.new(f32, rows, n.ffn)
	qv, att, k, v := n.new(f32, rows, q), n.new(f32, rows, q), n.new(f32, rows, kv), n.new(f32, rows, kv)
	w := n.place()
	if n.err != nil {
		return
	}
	factors := w.factors
	if n.neox {
		factors = nil
	}
	rope := tensor.Rope{Dims: n.hd, Base: 10000, NeoX: n.neox}
	if n.bias {
		rope.Dims, rope.AttnMul = n.hd/2, 1.25
	}
	attend := tensor.Attend{Heads: n.heads, KVHeads: n.kv, Scale: float32(1 / math.Sqrt(float64(n.hd))), Window: n.window, Softcap: n.cap}
	s := n.s
	add := func(x, b *tensor.Tensor) {
		if n.bias {
			s.Add(x, x, b)
		}
	}
	s.Alike(alike)
	n.p, n.err = s.Record(func() {
		s.Sequences(n.seq, textsOfTest)
		s.Rows(x, w.embed, n.ids)
		s.Scale(x, x, 3)
		for i := range w.layers {
			l := &w.layers[i]
			s.RMSNorm(h, x, l.norm, 1e-5)
			s.MatMul(qv, l.wq, h)
			s.MatMul(k, l.wk, h)
			s.MatMul(v, l.wv, h)
			add(qv, l.bq)
			add(k, l.bk)
			add(v, l.bv)
			qh, kh := qv.Reshape(rows, n.heads, n.hd), k.Reshape(rows, n.kv, n.hd)
			if n.headNorm {
				s.RMSNorm(qh, qh, l.qn, 1e-5)
				s.RMSNorm(kh, kh, l.kn, 1e-5)
			}
			s.RoPE(qh, qh, n.pos, factors, rope)
			s.RoPE(kh, kh, n.pos, factors, rope)
			s.Store(l.kc, k, n.pos)
			s.Store(l.vc, v, n.pos)
			s.Attention(att, qv, l.kc, l.vc, n.pos, attend)
			s.MatMul(h, l.wo, att)
			add(h, l.norm)
			if n.post {
				s.RMSNorm(h, h, l.post, 1e-5)
			}
			s.Add(x, x, h)
			s.RMSNorm(h, x, l.norm2, 1e-5)
			s.MatMul(gate, l.gate, h)
			s.MatMul(up, l.up, h)
			s.GLU(gate, gate, up, n.fn)
			s.MatMul(h, l.down, gate)
			if n.post {
				s.RMSNorm(h, h, l.post2, 1e-5)
			}
			s.Add(x, x, h)
		}
		s.RMSNorm(h, x, w.last, 1e-5)
		s.MatMul(n.out, w.embed, h)
		if n.cap != 0 {
			s.Cap(n.out, n.out, n.cap)
		}
		s.ArgMax(n.best, n.out)
	})
}

// feed runs the step of rows texts at a position, and returns the logits.
func (n *net) feed(rows, at int) ([]float32, error) {
	ids, pos, seq := make([]int32, rows), make([]int32, rows), make([]int32, rows)
	for i := range rows {
		ids[i], pos[i], seq[i] = int32((7*i+3*at+1)%n.vocab), int32(at), int32((i+2)%textsOfTest)
		if i > 0 && i == rows-1 {
			ids[i], pos[i], seq[i] = 0, 0, -1
		}
	}
	for _, w := range []struct {
		to   *tensor.Tensor
		what []int32
	}{{n.ids, ids}, {n.pos, pos}, {n.seq, seq}} {
		b, err := binary.Append(nil, binary.LittleEndian, w.what)
		if err == nil {
			err = n.dev.Write(w.to, b)
		}
		if err != nil {
			return nil, err
		}
	}
	return n.next()
}

// TestTexts compares fused steps of several texts with the CPU's, which gets the
// weights as f32, and the rows of steps of several sizes with each other: to the
// last bit. It also holds how many operations are left.
func TestTexts(t *testing.T) {
	for _, capability := range []string{"8.0", "7.5"} {
		t.Setenv("EMU_CC", capability)
		dev := emulated(t)
		all := toys
		if capability == "7.5" {
			all = append(slices.Clone(toys), wideToy)
		}
		for _, toy := range all {
			for _, alike := range []tensor.Alike{tensor.AlikeFew, tensor.AlikeSome} {
				t.Run(fmt.Sprintf("%s,capability=%s,alike=%d", toy.name, capability, alike), func(t *testing.T) {
					from, tokens := 0, 4
					if toy.name == wideToy.name {
						from, tokens = 270, 1
					}
					alone := map[int][]float32{} // logits of the first row, by position
					for _, rows := range []int{1, 2, textsOfTest} {
						want, got := &net{toy: toy, texts: textsOfTest, dev: cpu.Default()}, &net{toy: toy, texts: textsOfTest, dev: dev}
						for _, n := range []*net{want, got} {
							if n.crowd(rows, alike); n.err != nil {
								t.Fatal(n.err)
							}
							defer n.p.Free()
						}
						left := 3 + 5*2 + 2 // rows, scale, norm; logits, the choice
						if toy.cap != 0 {
							left++
						}
						if g := got.p.(*graph); len(g.bunches) != left {
							t.Fatalf("%d operations after fusing, want %d", len(g.bunches), left)
						} else if inside := 8; rows <= fewRows && g.launches > left+inside+1 { // logits may be in parts
							t.Errorf("%d kernels for %d operations with %d launches of products in them", g.launches, left, inside)
						}
						for at := from; at < from+tokens; at++ {
							w, err := want.feed(rows, at)
							if err != nil {
								t.Fatal(err)
							}
							g, err := got.feed(rows, at)
							if err != nil {
								t.Fatal(err)
							}
							bound := 3e-5 // what inputs of f16 make of it, fused or not
							if toy.cache == tensor.Q8_0 {
								bound = 5e-5
							}
							used := max(1, rows-1) * toy.vocab // a row of no text is nobody's
							if e := errorOf(g[:used], w[:used]); !(e < bound) {
								t.Fatalf("%d rows at %d: error %.3g of the logits, at most %.3g allowed", rows, at, e, bound)
							}
							if first := g[:toy.vocab]; alone[at] == nil {
								alone[at] = slices.Clone(first)
							} else if !slices.Equal(first, alone[at]) {
								t.Fatalf("at %d a row among %d is not what it is alone", at, rows)
							}
						}
					}
				})
			}
		}
	}
}

// errorOf is the normalised mean squared error.
func errorOf[G, W float32 | float64](got []G, want []W) float64 {
	diff, square := 0.0, 0.0
	for i, w := range want {
		by := float64(got[i]) - float64(w)
		diff += by * by
		square += float64(w) * float64(w)
	}
	return diff / square
}

// TestBetween compares a sum, its norms and a GLU of rows of many numbers with the
// CPU's, of products that are cut into parts and of others; and what is read again
// after it has become a product's input.
func TestBetween(t *testing.T) {
	t.Setenv("EMU_CC", "7.5")
	dev := emulated(t)
	for _, cols := range []int{96, 5120, 9216, 20480} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d columns, read again %v", cols, again), func(t *testing.T) {
				const rows, few = 3, 32
				run := func(dev tensor.Device) []float32 {
					n := &net{dev: dev, s: tensor.NewStream(dev), rng: rand.New(rand.NewPCG(3, uint64(cols)))}
					f32, q8 := tensor.F32, tensor.Q8_0
					wide := cols
					if cols == 20480 { // more than a norm has
						wide = 1024
					}
					wy, post, bias, norm, wo := n.weight(q8, wide, few), n.weight(f32, wide), n.weight(f32, wide), n.weight(f32, wide), n.weight(q8, few, wide)
					gate, up, down := n.weight(q8, cols, wide), n.weight(q8, cols, few), n.weight(q8, few, cols)
					if wide > 1024 {
						gate = n.weight(q8, cols, few)
					}
					a, x, y, h := n.new(f32, rows, few), n.new(f32, rows, wide), n.new(f32, rows, wide), n.new(f32, rows, wide)
					g, u, out := n.new(f32, rows, cols), n.new(f32, rows, cols), n.new(f32, rows, few)
					sum := n.new(f32, rows, wide)
					if n.err != nil {
						t.Fatal(n.err)
					}
					numbers := make([]float32, rows*wide)
					for i := range numbers {
						numbers[i] = float32(n.rng.NormFloat64() * 100)
					}
					b := make([]byte, 4*len(numbers))
					f32.Encode(b, numbers)
					s := n.s
					s.Alike(tensor.AlikeFew)
					p, err := s.Record(func() {
						s.MatMul(y, wy, a)
						s.Add(y, y, bias)
						s.RMSNorm(y, y, post, 1e-5)
						s.Add(x, x, y)
						s.RMSNorm(h, x, norm, 1e-5)
						s.MatMul(a, wo, h)
						if wide > 1024 {
							s.MatMul(g, gate, a)
						} else {
							s.MatMul(g, gate, h)
						}
						s.MatMul(u, up, a)
						s.GLU(g, g, u, tensor.SiLU)
						s.MatMul(out, down, g)
						if again {
							s.Add(sum, h, x)
							s.Add(u, u, g)
						}
					})
					if err != nil {
						t.Fatal(err)
					}
					defer p.Free()
					in := b[:4*rows*few]
					if err := dev.Write(a, in); err != nil {
						t.Fatal(err)
					}
					if err := dev.Write(x, b); err != nil {
						t.Fatal(err)
					}
					s.Run(p)
					if err := s.Sync(); err != nil {
						t.Fatal(err)
					}
					results := []*tensor.Tensor{x, a, out}
					if again {
						results = append(results, sum, u)
					}
					var all []float32
					for _, r := range results { // each of its own size
						b, f := make([]byte, r.Bytes()), make([]float32, r.Len())
						if err := dev.Read(b, r); err != nil {
							t.Fatal(err)
						}
						f32.Decode(f, b)
						square := 0.0
						for _, v := range f {
							square += float64(v) * float64(v)
						}
						for _, v := range f {
							all = append(all, v/float32(math.Sqrt(square/float64(len(f)))))
						}
					}
					if g, ok := p.(*graph); ok && g.bunches == nil {
						t.Error("nothing is fused")
					}
					return all
				}
				want, got := run(cpu.Default()), run(dev)
				if e := errorOf(got, want); !(e < 1e-6) {
					t.Errorf("error %.3g, at most 1e-6 allowed", e)
				}
			})
		}
	}
}
