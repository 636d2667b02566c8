package kernels

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// A toy is a transformer of two layers with random weights, in the manners of
// real architectures. Both devices compute it; the CPU, which gets the weights
// as f32, is the truth.
type toy struct {
	name                       string
	dim, heads, kv, hd, ffn    int
	vocab, ctx                 int
	weights, values            tensor.DType // of most products; of v and down
	cache                      tensor.DType
	bias, headNorm, post, neox bool
	joined                     bool // q, k and v are rows of one matrix; gate and up, too
	fn                         tensor.Fn
	cap                        float32
	window                     int
	rank                       int    // of adapters
	adapted                    string // products that have them: some of "qkvogudh"
	biased                     bool   // adapters have biases
	short                      bool   // feeding forward is one product, but in the first layer
	scaled                     bool   // RoPE has factors
}

var toys = []toy{
	{name: "llama", dim: 256, heads: 4, kv: 2, hd: 64, ffn: 512, vocab: 300, ctx: 64, weights: tensor.Q4_K, values: tensor.Q6_K, cache: tensor.F16, fn: tensor.SiLU},
	{name: "qwen2", dim: 256, heads: 7, kv: 1, hd: 64, ffn: 768, vocab: 300, ctx: 64, weights: tensor.Q5_K, values: tensor.Q8_0, cache: tensor.Q8_0, fn: tensor.SiLU, bias: true, neox: true},
	{name: "qwen3", dim: 256, heads: 4, kv: 4, hd: 128, ffn: 256, vocab: 77, ctx: 64, weights: tensor.Q4_0, values: tensor.Q4_1, cache: tensor.F16, fn: tensor.SiLU, headNorm: true, neox: true},
	{name: "gemma3", dim: 96, heads: 4, kv: 1, hd: 256, ffn: 160, vocab: 1000, ctx: 64, weights: tensor.Q5_0, values: tensor.Q8_0, cache: tensor.F16, fn: tensor.GELU, headNorm: true, post: true, neox: true, window: 5},
	{name: "gemma2", dim: 256, heads: 4, kv: 2, hd: 96, ffn: 512, vocab: 300, ctx: 64, weights: tensor.Q3_K, values: tensor.Q2_K, cache: tensor.F16, fn: tensor.GELU, post: true, neox: true, cap: 30},
	{name: "phi3", dim: 256, heads: 4, kv: 4, hd: 96, ffn: 512, vocab: 300, ctx: 64, weights: tensor.Q4_K, values: tensor.Q6_K, cache: tensor.F16, fn: tensor.SiLU, neox: true, joined: true, window: 3},
	{name: "iq", dim: 256, heads: 4, kv: 2, hd: 64, ffn: 512, vocab: 300, ctx: 64, weights: tensor.IQ4_XS, values: tensor.IQ4_NL, cache: tensor.F16, fn: tensor.SiLU},
	{name: "odd", dim: 160, heads: 2, kv: 1, hd: 64, ffn: 224, vocab: 50, ctx: 64, weights: tensor.Q5_1, values: tensor.MXFP4, cache: tensor.F16, fn: tensor.SiLU},
	{name: "nf4", dim: 256, heads: 4, kv: 2, hd: 64, ffn: 320, vocab: 300, ctx: 64, weights: tensor.NF4, values: tensor.Q8_0, cache: tensor.F16, fn: tensor.SiLU},
	{name: "fp4", dim: 192, heads: 4, kv: 2, hd: 64, ffn: 320, vocab: 300, ctx: 64, weights: tensor.FP4, values: tensor.LLM_INT8, cache: tensor.F16, fn: tensor.SiLU},
}

// A net is a toy on a device.
type net struct {
	toy
	texts   int // that it has caches for
	start   int // position of the first token; what is before it in the caches is random
	dev     tensor.Device
	s       *tensor.Stream
	rng     *rand.Rand
	ids     *tensor.Tensor
	pos     *tensor.Tensor
	seq     *tensor.Tensor
	out     *tensor.Tensor
	best    *tensor.Tensor
	factors *tensor.Tensor // of RoPE, or nil
	p       tensor.Program
	err     error
}

func (n *net) must(t *tensor.Tensor, err error) *tensor.Tensor {
	if err != nil && n.err == nil {
		n.err = err
	}
	return t
}

// weight is random numbers of a type, the same on every device.
func (n *net) weight(d tensor.DType, shape ...int) *tensor.Tensor {
	x := make([]float32, tensor.Count(shape))
	spread := 1 / math.Sqrt(float64(shape[len(shape)-1]))
	if len(shape) == 1 {
		spread = 0.3
	}
	for i := range x {
		x[i] = float32(n.rng.NormFloat64() * spread)
		if len(shape) == 1 {
			x[i]++
		}
	}
	b := make([]byte, d.Bytes(len(x)))
	d.Encode(b, x)
	if n.dev.Name() == "cpu" {
		d.Decode(x, b)
		d, b = tensor.F32, make([]byte, 4*len(x))
		d.Encode(b, x)
	}
	return n.must(n.dev.Place("w", d, shape, b))
}

func (n *net) new(d tensor.DType, shape ...int) *tensor.Tensor { return n.must(n.dev.New(d, shape...)) }

// record makes the step of n on its device: it takes ids[0] at pos[0], writes
// logits and the likeliest token, and feeds that back.
func (n *net) record() {
	n.s, n.rng = tensor.NewStream(n.dev), rand.New(rand.NewPCG(7, 7))
	q, kv := n.heads*n.hd, n.kv*n.hd
	f32 := tensor.F32
	n.ids, n.pos, n.best = n.new(tensor.I32, 1), n.new(tensor.I32, 1), n.new(tensor.I32, 1)
	one := n.new(tensor.I32, 1)
	if n.err == nil {
		n.err = n.dev.Write(one, []byte{1, 0, 0, 0})
	}
	n.out = n.new(f32, 1, n.vocab)
	x, h, gate, up := n.new(f32, 1, n.dim), n.new(f32, 1, n.dim), n.new(f32, 1, n.ffn), n.new(f32, 1, n.ffn)
	qv, att, k, v := n.new(f32, 1, q), n.new(f32, 1, q), n.new(f32, 1, kv), n.new(f32, 1, kv)
	w := n.place()
	n.fill(w)
	if n.err != nil {
		return
	}
	rope := tensor.Rope{Dims: n.hd, Base: 10000, NeoX: n.neox}
	attend := tensor.Attend{Heads: n.heads, KVHeads: n.kv, Scale: float32(1 / math.Sqrt(float64(n.hd))), Window: n.window, Softcap: n.cap}
	s := n.s
	lowest, sum := n.new(f32, max(n.rank, 1)), n.new(f32, max(q, n.ffn, n.dim, n.vocab))
	type adapter struct{ a, b, bias *tensor.Tensor }
	adapters := map[*tensor.Tensor]adapter{}
	var before *tensor.Tensor // A
	adapt := func(name string, w *tensor.Tensor) {
		if !strings.Contains(n.adapted, name) {
			return
		}
		if !n.joined || !strings.Contains("kvu", name) {
			before = n.weight(tensor.F16, n.rank, w.Cols())
		}
		adapters[w] = adapter{before, n.weight(tensor.F16, w.Rows(), n.rank), n.weight(f32, w.Rows())}
	}
	for _, l := range w.layers {
		for i, w := range []*tensor.Tensor{l.wq, l.wk, l.wv, l.wo, l.gate, l.up, l.down} {
			adapt("qkvogud"[i:i+1], w)
		}
	}
	adapt("h", w.embed)
	if n.err != nil {
		return
	}
	mul := func(dst, w, x *tensor.Tensor) { // as engine's adapting does
		s.MatMul(dst, w, x)
		if a, ok := adapters[w]; ok {
			low, more := lowest.Reshape(1, n.rank), sum.Slice(0, w.Rows()).Reshape(1, w.Rows())
			s.MatMul(low, a.a, x)
			s.MatMul(more, a.b, low)
			s.Add(dst, dst, more)
			if n.biased {
				s.Add(dst, dst, a.bias)
			}
		}
	}
	add := func(x, b *tensor.Tensor) {
		if n.bias {
			s.Add(x, x, b)
		}
	}
	if n.scaled {
		n.factors = w.factors
	}
	n.p, n.err = s.Record(func() {
		s.Rows(x, w.embed, n.ids)
		s.Scale(x, x, 3)
		for i := range w.layers {
			l := &w.layers[i]
			s.RMSNorm(h, x, l.norm, 1e-5)
			mul(qv, l.wq, h)
			mul(k, l.wk, h)
			mul(v, l.wv, h)
			add(qv, l.bq)
			add(k, l.bk)
			add(v, l.bv)
			qh, kh := qv.Reshape(1, n.heads, n.hd), k.Reshape(1, n.kv, n.hd)
			if n.headNorm {
				s.RMSNorm(qh, qh, l.qn, 1e-5)
				s.RMSNorm(kh, kh, l.kn, 1e-5)
			}
			s.RoPE(qh, qh, n.pos, n.factors, rope)
			s.RoPE(kh, kh, n.pos, n.factors, rope)
			s.Store(l.kc, k, n.pos)
			s.Store(l.vc, v, n.pos)
			s.Attention(att, qv, l.kc, l.vc, n.pos, attend)
			mul(h, l.wo, att)
			if n.post {
				s.RMSNorm(h, h, l.post, 1e-5)
			}
			s.Add(x, x, h)
			s.RMSNorm(h, x, l.norm2, 1e-5)
			if n.short && i > 0 {
				mul(qv, l.wq, h)
				s.Add(x, x, qv)
				continue
			}
			mul(gate, l.gate, h)
			mul(up, l.up, h)
			s.GLU(gate, gate, up, n.fn)
			mul(h, l.down, gate)
			if n.post {
				s.RMSNorm(h, h, l.post2, 1e-5)
			}
			s.Add(x, x, h)
		}
		s.RMSNorm(h, x, w.last, 1e-5)
		mul(n.out, w.embed, h)
		if n.cap != 0 {
			s.Cap(n.out, n.out, n.cap)
		}
		s.ArgMax(n.best, n.out)
		s.Convert(n.ids, n.best)
		s.Add(n.pos, n.pos, one)
	})
}

// recorded is n with its step.
func recorded(t *testing.T, n *net) *net {
	t.Helper()
	if n.record(); n.err != nil {
		t.Fatal(n.err)
	}
	t.Cleanup(n.p.Free)
	return n
}

// fill makes caches as if there had been tokens before.
func (n *net) fill(w toyWeights) {
	if n.start == 0 || n.err != nil {
		return
	}
	var positions []byte
	for i := range n.start {
		positions = binary.LittleEndian.AppendUint32(positions, uint32(i))
	}
	pos := n.new(tensor.I32, n.start)
	if n.err == nil {
		n.err = n.dev.Write(pos, positions)
	}
	for _, l := range w.layers {
		for _, cache := range []*tensor.Tensor{l.kc, l.vc} {
			x := n.weight(tensor.F32, n.start, cache.Cols())
			if n.err != nil {
				return
			}
			n.s.Scale(x, x, 4)
			n.s.Store(cache, x, pos)
		}
	}
	n.err = errors.Join(n.err, n.dev.Write(n.pos, binary.LittleEndian.AppendUint32(nil, uint32(n.start))))
}

// The weights of a toy, and its caches.
type toyWeights struct {
	embed, last *tensor.Tensor
	factors     *tensor.Tensor // of RoPE
	layers      []toyLayer
}

type toyLayer struct {
	norm, wq, wk, wv, bq, bk, bv, qn, kn, wo, post, norm2, gate, up, down, post2, kc, vc *tensor.Tensor
}

// place makes n's weights, and caches of n.texts texts.
func (n *net) place() (w toyWeights) {
	q, kv, f32 := n.heads*n.hd, n.kv*n.hd, tensor.F32
	w.embed = n.weight(n.values32(), n.vocab, n.dim)
	w.layers = make([]toyLayer, 2)
	for i := range w.layers {
		l := &w.layers[i]
		l.norm, l.norm2 = n.weight(f32, n.dim), n.weight(f32, n.dim)
		l.wq, l.wk, l.wv = n.weight(n.weights, q, n.dim), n.weight(n.weights, kv, n.dim), n.weight(n.values, kv, n.dim)
		l.bq, l.bk, l.bv = n.weight(f32, q), n.weight(f32, kv), n.weight(f32, kv)
		l.qn, l.kn = n.weight(f32, n.hd), n.weight(f32, n.hd)
		l.wo, l.post, l.post2 = n.weight(n.weights32(q), n.dim, q), n.weight(f32, n.dim), n.weight(f32, n.dim)
		l.gate, l.up, l.down = n.weight(n.weights, n.ffn, n.dim), n.weight(n.weights, n.ffn, n.dim), n.weight(n.values, n.dim, n.ffn)
		if n.joined && n.err == nil {
			qkv, gateUp := n.weight(n.weights, q+2*kv, n.dim), n.weight(n.weights, 2*n.ffn, n.dim)
			if n.err != nil {
				return w
			}
			l.wq, l.wk, l.wv = qkv.Slice(0, q), qkv.Slice(q, q+kv), qkv.Slice(q+kv, q+2*kv)
			l.gate, l.up = gateUp.Slice(0, n.ffn), gateUp.Slice(n.ffn, 2*n.ffn)
		}
		l.kc, l.vc = n.new(n.cache, max(1, n.texts)*n.ctx, kv), n.new(n.cache, max(1, n.texts)*n.ctx, kv)
	}
	w.last, w.factors = n.weight(f32, n.dim), n.weight(f32, n.hd/2)
	return w
}

// values32 is a type for the embedding, whose rows are n.dim.
func (n *net) values32() tensor.DType { return n.weights32(n.dim) }

// weights32 is n.weights where columns are whole blocks of it, or else q8_0.
func (n *net) weights32(cols int) tensor.DType {
	if cols%n.weights.BlockLen() == 0 {
		return n.weights
	}
	return tensor.Q8_0
}

// next runs the step and returns the logits.
func (n *net) next() ([]float32, error) {
	n.s.Run(n.p)
	b := make([]byte, n.out.Bytes())
	if err := n.s.Sync(); err != nil {
		return nil, err
	}
	if err := n.dev.Read(b, n.out); err != nil {
		return nil, err
	}
	x := make([]float32, n.out.Len())
	tensor.F32.Decode(x, b)
	return x, nil
}

func (n *net) int(t *tensor.Tensor) int32 {
	var b [4]byte
	if err := n.dev.Read(b[:], t); err != nil {
		n.err = err
	}
	return int32(binary.LittleEndian.Uint32(b[:]))
}

// TestStep compares fused steps of several tokens with the CPU's: the logits,
// the token that was chosen, and that it was fed back.
// Emulated cards of capability 7.5 have no ring, nor have those of 8.6, by their shared memory. Of 24 blocks most have no units of
// most products.
func TestStep(t *testing.T) {
	for _, v := range []struct{ capability, fuse, blocks string }{{"8.0", "1", "4"}, {"8.0", "1", "24"}, {"8.0", "0", "4"}, {"7.5", "1", "4"}, {"8.6", "1", "4"}} {
		t.Setenv("EMU_CC", v.capability)
		t.Setenv("EMU_SMS", v.blocks)
		dev := emulated(t)
		for _, toy := range toys {
			t.Run(fmt.Sprintf("%s,capability=%s,fuse=%s,blocks=%s", toy.name, v.capability, v.fuse, v.blocks), func(t *testing.T) {
				t.Setenv("LLCUDA_FUSE", v.fuse)
				want, got := recorded(t, &net{toy: toy, dev: cpu.Default()}), recorded(t, &net{toy: toy, dev: dev})
				if g := got.p.(*graph); (g.step != nil) != (v.fuse == "1") {
					t.Fatalf("fused: %v", g.step != nil)
				} else if g.step != nil && (len(g.ops) != 2 || len(g.after) != 0) {
					t.Errorf("%d operations stay before the fused ones, %d after: want 2 and 0", len(g.ops), len(g.after))
				}
				if g := got.p.(*graph); g.step != nil && strings.HasPrefix(g.step.kernel, "step_nf4") != (toy.weights == tensor.NF4) {
					t.Errorf("kernel %s for %s", g.step.kernel, toy.weights)
				}
				got.compare(t, want, 0, 8)
			})
		}
	}
}

// TestStepSplits: where blocks share the keys of a head, each joins a part of what
// they have found. The number of splits changes between tokens.
func TestStepSplits(t *testing.T) {
	t.Setenv("EMU_CC", "8.0")
	for _, c := range []struct {
		name, blocks       string
		ctx, start, window int
		splits             int32 // most that there are
	}{
		{"llama", "4", 600, 382, 0, 2}, {"llama", "24", 600, 382, 0, 5}, {"qwen2", "24", 600, 254, 0, 5},
		{"gemma3", "24", 600, 318, 0, 10}, {"gemma3", "24", 600, 500, 200, 10}, {"phi3", "24", 600, 382, 300, 5}, {"qwen3", "24", 2000, 1500, 0, 6},
	} {
		t.Run(fmt.Sprintf("%s,blocks=%s,start=%d", c.name, c.blocks, c.start), func(t *testing.T) {
			t.Setenv("EMU_SMS", c.blocks)
			toy := toys[slices.IndexFunc(toys, func(t toy) bool { return t.name == c.name })]
			toy.ctx, toy.window = c.ctx, c.window
			want, got := recorded(t, &net{toy: toy, dev: cpu.Default(), start: c.start}), recorded(t, &net{toy: toy, dev: emulated(t), start: c.start})
			onCard := strconv.Itoa(got.dev.(*Device).sms()) != c.blocks
			if s := got.p.(*graph).step; s == nil || !onCard && s.args.units != c.splits*int32(toy.kv) {
				t.Fatalf("step %+v, want units for %d splits", s, c.splits)
			}
			got.compare(t, want, c.start, 5)
		})
	}
}

// TestStepShort: a product whose result is added to the sum that its own input is
// the norm of, which no stage can do.
func TestStepShort(t *testing.T) {
	t.Setenv("EMU_CC", "8.0")
	t.Setenv("EMU_SMS", "4")
	toy := toys[slices.IndexFunc(toys, func(t toy) bool { return t.name == "llama" })]
	toy.post, toy.short = true, true
	want, got := recorded(t, &net{toy: toy, dev: cpu.Default()}), recorded(t, &net{toy: toy, dev: emulated(t)})
	got.compare(t, want, 0, 3)
}

// TestStepPosition: a position that cannot be is an error, for which no block
// waits, also where most blocks have nothing of most products.
func TestStepPosition(t *testing.T) {
	t.Setenv("EMU_CC", "8.0")
	t.Setenv("EMU_SMS", "24")
	for _, toy := range toys {
		t.Run(toy.name, func(t *testing.T) {
			n := recorded(t, &net{toy: toy, dev: emulated(t)})
			if err := n.dev.Write(n.pos, []byte{255, 255, 255, 255}); err != nil {
				t.Fatal(err)
			}
			if _, err := n.next(); err == nil || !strings.Contains(err.Error(), "position") {
				t.Fatalf("position -1: error %v", err)
			}
		})
	}
}

// TestStepFactorsChange writes the factors of RoPE when the step is recorded, which
// took them for constants.
func TestStepFactorsChange(t *testing.T) {
	toy := toys[0]
	toy.scaled = true
	want, got := recorded(t, &net{toy: toy, dev: cpu.Default()}), recorded(t, &net{toy: toy, dev: emulated(t)})
	if got.p.(*graph).step == nil {
		t.Fatal("not fused")
	}
	got.compare(t, want, 0, 3)
	for i := range 2 { // the second time they are no constants any more
		factors, numbers := make([]byte, want.factors.Bytes()), make([]float32, want.factors.Len())
		for j := range numbers {
			numbers[j] = float32(2 + 3*i + j%2)
		}
		tensor.F32.Encode(factors, numbers)
		for _, n := range []*net{want, got} {
			if err := n.dev.Write(n.factors, factors); err != nil {
				t.Fatal(err)
			}
		}
		got.compare(t, want, 3*(i+1), 3)
	}
}

// compare runs n and want for so many tokens: their logits, the token that was
// chosen, and that it was fed back. So many were there before.
func (n *net) compare(t *testing.T, want *net, before, tokens int) {
	t.Helper()
	for token := before; token < before+tokens; token++ {
		w, err := want.next()
		if err != nil {
			t.Fatal(err)
		}
		g, err := n.next()
		if err != nil {
			t.Fatal(err)
		}
		bound := 1e-6
		if n.weights == tensor.NF4 { // of each product 2e-7 (levels.cuh)
			bound = 5e-6
		}
		if n.cache == tensor.Q8_0 { // a number near the middle is rounded up here and down there
			bound = 3e-5
		}
		if e := errorOf(g, w); !(e < bound) {
			t.Fatalf("token %d: error %.3g of the logits, at most %.3g allowed", token, e, bound)
		}
		best := slices.Index(g, slices.Max(g))
		if id := n.int(n.best); int(id) != best {
			t.Fatalf("token %d: chose %d, the largest is %d", token, id, best)
		}
		if id, pos := n.int(n.ids), n.int(n.pos); int(id) != best || int(pos) != token+1 {
			t.Fatalf("token %d: fed back %d at %d", token, id, pos)
		}
		if err := want.dev.Write(want.ids, binary.LittleEndian.AppendUint32(nil, uint32(best))); err != nil {
			t.Fatal(err)
		}
	}
}

// adaptedToys have adapters: of all products that share an input and of some, of
// ranks that need more than one turn of two lanes, of a head; biases; an A of more
// than one product; and more rows of A than blocks.
var adaptedToys = []struct {
	base, adapted, kernel string
	rank                  int
	biased, joined        bool
}{
	{"llama", "qkvogud", "step_lora_k_64", 16, false, false},
	{"llama", "qkvogud", "step_lora_k_64", 40, false, true},
	{"llama", "qvd", "step_lora_k_64", 24, true, false},
	{"gemma3", "qkvogud", "step_lora_256", 8, false, false},
	{"odd", "kuoh", "step_lora_all_64", 48, false, false},
	{"nf4", "qkvogud", "step_lora_nf4_64", 16, true, false},
}

// TestStepAdapted: products with adapters are fused, too. 24 blocks have 48 rows
// of A at most.
func TestStepAdapted(t *testing.T) {
	t.Setenv("EMU_SMS", "24")
	for _, capability := range []string{"8.0", "7.5", "8.6"} {
		t.Setenv("EMU_CC", capability)
		dev := emulated(t)
		for _, c := range adaptedToys {
			t.Run(fmt.Sprintf("%s,%s,rank=%d,capability=%s", c.base, c.adapted, c.rank, capability), func(t *testing.T) {
				toy := toys[slices.IndexFunc(toys, func(t toy) bool { return t.name == c.base })]
				toy.rank, toy.adapted, toy.biased, toy.joined = c.rank, c.adapted, c.biased, c.joined
				want, got := recorded(t, &net{toy: toy, dev: cpu.Default()}), recorded(t, &net{toy: toy, dev: dev})
				g := got.p.(*graph)
				if g.step == nil || len(g.ops) != 2 || len(g.after) != 0 {
					t.Fatalf("not fused: step %v, %d operations before it, %d after", g.step, len(g.ops), len(g.after))
				}
				if !strings.HasPrefix(g.step.kernel, c.kernel+"_f16") {
					t.Errorf("kernel %s, want %s", g.step.kernel, c.kernel)
				}
				got.compare(t, want, 0, 4)
			})
		}
	}
}
