package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/synth"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// An opResult is one operation alone, in the shape that a model has it.
type opResult struct {
	Op          string  `json:"op"`
	Type        string  `json:"type"` // of weights or caches
	Shape       string  `json:"shape"`
	Micros      float64 `json:"us"`
	GBPerSecond float64 `json:"gb_per_second,omitempty"` // of the bytes that it has to move
	ShareOfRead float64 `json:"share_of_read,omitempty"` // of the card's rate of reading
	TFLOPs      float64 `json:"tflops,omitempty"`
}

// benchOps are what --op chooses from.
var benchOps = []string{"matmul", "attention", "rms_norm", "add", "glu", "rope", "store", "rows", "arg_max", "top_k"}

// An opBench measures operations on a device. It remembers the first error.
type opBench struct {
	ctx     context.Context
	dev     tensor.Device
	s       *tensor.Stream
	read    float64 // GB/s; 0: not known
	f       *gguf.File
	only    []string       // operations; none: all
	types   []tensor.DType // of weights; none: the model's
	rows    []int          // of x: one, and those of a prompt
	made    []*tensor.Tensor
	results []opResult
	err     error
}

// runOps measures every operation of a model on the first device.
func (b *bench) runOps(cmd *cobra.Command, f *gguf.File, o engine.Options) (err error) {
	o.GPUs = append(o.GPUs, o.Device)
	p := &opBench{ctx: cmd.Context(), dev: o.GPUs[0], s: tensor.NewStream(o.GPUs[0]), f: f, only: b.only, rows: []int{1}}
	for _, name := range b.types {
		t, err := tensor.ParseDType(name)
		if err != nil {
			return usageError{fmt.Errorf("bench: --type: %w", err)}
		}
		p.types = append(p.types, t)
	}
	if b.prompt > 1 {
		p.rows = append(p.rows, b.prompt)
	}
	c, onCard := p.dev.(card)
	if onCard {
		if p.read, err = c.StreamRead(streamBytes); err != nil {
			return err
		}
	}
	if p.wanted("matmul") {
		p.products()
	}
	if p.wanted("attention") {
		p.attentions(b.depth)
	}
	p.small()
	if onCard && p.wanted("matmul") {
		p.square(c)
	}
	p.free()
	if p.err != nil {
		return p.err
	}
	if b.asJSON {
		return encodeJSON(cmd.OutOrStdout(), map[string]any{"device": p.dev.Name(), "stream_read_gb_per_second": p.read, "ops": p.results})
	}
	return p.print(cmd.OutOrStdout())
}

func (p *opBench) wanted(op string) bool {
	return len(p.only) == 0 || slices.Contains(p.only, op)
}

func (p *opBench) int(key string) int {
	arch, _ := p.f.String("general.architecture")
	v, _ := p.f.Int(arch + "." + key)
	return int(v)
}

func (p *opBench) vocab() int {
	tokens, _ := p.f.Strings("tokenizer.ggml.tokens")
	return len(tokens)
}

// new allocates a tensor.
func (p *opBench) new(d tensor.DType, shape ...int) *tensor.Tensor {
	if p.err != nil {
		return nil
	}
	t, err := p.dev.New(d, shape...)
	return p.keep(t, err)
}

func (p *opBench) keep(t *tensor.Tensor, err error) *tensor.Tensor {
	if err != nil {
		p.err = err
		return nil
	}
	p.made = append(p.made, t)
	return t
}

// random is a tensor of f32 numbers.
func (p *opBench) random(shape ...int) *tensor.Tensor {
	t := p.new(tensor.F32, shape...)
	p.s.Random(t, 1)
	return t
}

// weight places numbers of a type, so often that no cache holds all.
func (p *opBench) weight(d tensor.DType, rows, cols int) (all []*tensor.Tensor) {
	data := synth.Blocks(d, d.Bytes(rows*cols))
	for range p.copies(len(data)) {
		if p.err == nil {
			all = append(all, p.keep(p.dev.Place("w", d, []int{rows, cols}, data)))
		}
	}
	return all
}

// copies is how many tensors of so many bytes are more than caches hold.
func (p *opBench) copies(bytes int) int {
	const caches = 256 << 20
	return min(max(1, (caches+bytes-1)/bytes), 512)
}

// free gives back what was made, so that the next operation finds room.
func (p *opBench) free() {
	if err := p.s.Sync(); p.err == nil {
		p.err = err
	}
	for _, t := range p.made {
		p.dev.Free(t)
	}
	p.made = nil
}

// measure times what issue issues, for numbers from 0 on, alone and as a
// recorded step, and keeps the faster: alone, short operations wait for the
// host. bytes and flops are what one issue moves and computes; 0 is not shown. issue
// has so many different operands, one after the other, and around again.
func (p *opBench) measure(r opResult, bytes, flops float64, around int, issue func(i int)) {
	const goal = 50 * time.Millisecond
	defer p.free()
	if name, _, _ := strings.Cut(r.Op, " "); !p.wanted(name) {
		return
	}
	if p.err == nil {
		p.err = p.ctx.Err()
	}
	run := func(n int, do func()) (each time.Duration) {
		if p.err != nil {
			return 0
		}
		took, err := p.time(func() error { do(); return p.s.Err() })
		p.err = err
		return took / time.Duration(n)
	}
	many := func(n int) func() {
		return func() {
			for i := range n {
				issue(i)
			}
		}
	}
	run(1, many(1)) // kernels are loaded, scratch memory grows
	once := run(1, many(1))
	if p.err != nil {
		return
	}
	n := min(max(int(goal/max(once, time.Microsecond)), 3), max(2000, around)) // the start of a step is not the operation's
	if n > around {
		n = (n + around - 1) / around * around
	}
	best := run(n, many(n))
	if p.err == nil {
		program, err := p.s.Record(many(n))
		if err == nil {
			run(n, func() { p.s.Run(program) })
			for range 3 {
				if each := run(n, func() { p.s.Run(program) }); p.err == nil && each < best {
					best = each
				}
			}
			p.s.Sync()
			program.Free()
		} else {
			p.err = err
		}
	}
	if p.err != nil {
		p.err = fmt.Errorf("bench: %s %s %s: %w", r.Op, r.Type, r.Shape, p.err)
		return
	}
	seconds := best.Seconds()
	r.Micros = seconds * 1e6
	if bytes > 0 {
		r.GBPerSecond = bytes / seconds / 1e9
		if p.read > 0 {
			r.ShareOfRead = r.GBPerSecond / p.read
		}
	}
	if flops > 0 {
		r.TFLOPs = flops / seconds / 1e12
	}
	p.results = append(p.results, r)
}

// time is how long do takes on the device.
func (p *opBench) time(do func() error) (time.Duration, error) {
	if c, ok := p.dev.(card); ok {
		return c.Time(do)
	}
	start := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	err := p.dev.Sync()
	return time.Since(start), err
}

// products measures the model's weights with one row and with many.
func (p *opBench) products() {
	type kind struct {
		d          tensor.DType
		rows, cols int
	}
	done := map[kind]bool{}
	var kinds []kind
	heads := map[kind]bool{} // only ever multiplied by one row
	for i := range p.f.Tensors {
		t := &p.f.Tensors[i]
		layer := strings.HasPrefix(t.Name, "blk.")
		if len(t.Shape) != 2 || !layer && t.Name != "output.weight" && p.f.Tensor("output.weight") != nil {
			continue
		}
		types := p.types
		if len(types) == 0 {
			types = []tensor.DType{t.DType}
		}
		for _, d := range types {
			k := kind{d, t.Shape[0], t.Shape[1]}
			if !done[k] && k.cols%d.BlockLen() == 0 {
				done[k], heads[k] = true, !layer
				kinds = append(kinds, k)
			}
		}
	}
	for _, n := range p.rows {
		for _, k := range kinds {
			if n > 1 && heads[k] {
				continue
			}
			w, x := p.weight(k.d, k.rows, k.cols), p.random(n, k.cols)
			dst := []*tensor.Tensor{p.new(tensor.F32, n, k.rows)}
			for n == 1 && len(dst) < len(w) { // recorded products of one row share launches
				dst = append(dst, p.new(tensor.F32, n, k.rows))
			}
			r := opResult{Op: "matmul", Type: k.d.String(), Shape: fmt.Sprintf("%d×%d · %d", k.rows, k.cols, n)}
			bytes, flops := float64(k.d.Bytes(k.rows*k.cols)), 2*float64(n)*float64(k.rows)*float64(k.cols)
			if n == 1 {
				flops = 0
			} else {
				bytes = 0
			}
			p.measure(r, bytes, flops, len(w), func(i int) { p.s.MatMul(dst[i%len(dst)], w[i%len(w)], x) })
		}
	}
}

// attentions measures one token and a prompt at several depths.
func (p *opBench) attentions(depth int) {
	heads, kvHeads := p.int("attention.head_count"), p.int("attention.head_count_kv")
	dim := p.int("attention.key_length")
	if dim == 0 {
		dim = p.int("embedding_length") / heads
	}
	depths := []int{0, 4096, 16384}
	if depth > 0 {
		depths = append(depths, depth)
	}
	for _, n := range p.rows {
		for _, d := range []tensor.DType{tensor.F16, tensor.Q8_0} {
			for _, before := range depths {
				if n == 1 && before == 0 {
					before = 512
				}
				p.attention(d, n, before, heads, kvHeads, dim)
			}
		}
	}
}

func (p *opBench) attention(d tensor.DType, n, before, heads, kvHeads, dim int) {
	rows := before + n
	each := d.Bytes(rows * kvHeads * dim)
	var keys, values []*tensor.Tensor
	for range min(p.copies(2*each), 16) {
		keys, values = append(keys, p.new(d, rows, kvHeads*dim)), append(values, p.new(d, rows, kvHeads*dim))
	}
	q, dst, pos := p.random(n, heads*dim), p.new(tensor.F32, n, heads*dim), p.positions(before, n)
	a := tensor.Attend{Heads: heads, KVHeads: kvHeads, Scale: 0.1}
	r := opResult{Op: "attention", Type: d.String(), Shape: fmt.Sprintf("%d after %d, %d:%d heads of %d", n, before, heads, kvHeads, dim)}
	bytes, flops := 2*float64(each), 0.0
	if n > 1 {
		bytes, flops = 0, 4*float64(heads*dim)*float64(n)*(float64(before)+float64(n+1)/2)
	}
	p.measure(r, bytes, flops, len(keys), func(i int) { p.s.Attention(dst, q, keys[i%len(keys)], values[i%len(values)], pos, a) })
}

// positions are n numbers from first on.
func (p *opBench) positions(first, n int) *tensor.Tensor {
	t := p.new(tensor.I32, n)
	b := make([]byte, 4*n)
	for i := range n {
		for j := range 4 {
			b[4*i+j] = byte((first + i) >> (8 * j))
		}
	}
	if p.err == nil {
		p.err = p.dev.Write(t, b)
	}
	return t
}

// small measures what stands between the products.
func (p *opBench) small() {
	dim, ffn, heads := p.int("embedding_length"), p.int("feed_forward_length"), p.int("attention.head_count")
	headDim, kv := p.int("attention.key_length"), p.int("attention.head_count_kv")
	if headDim == 0 {
		headDim = dim / heads
	}
	embed := p.f.Tensor("token_embd.weight")
	for _, n := range p.rows { // measure frees what was made before it
		each := func(op, kind string, cols int, issue func(x, y, w *tensor.Tensor)) {
			x, y, w := p.random(n, cols), p.random(n, cols), p.random(cols)
			p.measure(opResult{Op: op, Type: kind, Shape: fmt.Sprintf("%d×%d", n, cols)}, 0, 0, 1, func(int) { issue(x, y, w) })
		}
		each("rms_norm", "f32", dim, func(x, y, w *tensor.Tensor) { p.s.RMSNorm(y, x, w, 1e-5) })
		each("add", "f32", dim, func(x, y, _ *tensor.Tensor) { p.s.Add(y, y, x) })
		each("glu", "f32", ffn, func(x, y, _ *tensor.Tensor) { p.s.GLU(y, x, y, tensor.SiLU) })
		pos := p.positions(0, n)
		each("rope", "f32", heads*headDim, func(x, y, _ *tensor.Tensor) {
			p.s.RoPE(y.Reshape(n, heads, headDim), x.Reshape(n, heads, headDim), pos, nil, tensor.Rope{Dims: headDim, Base: 1e4})
		})
		pos, cache := p.positions(0, n), p.new(tensor.F16, max(512, n), kv*headDim)
		each("store", "f16", kv*headDim, func(x, _, _ *tensor.Tensor) { p.s.Store(cache, x, pos) })
		if embed != nil && len(embed.Shape) == 2 && p.err == nil {
			table, ids := p.table(embed), p.positions(0, n)
			each("rows", embed.DType.String(), dim, func(_, y, _ *tensor.Tensor) { p.s.Rows(y, table, ids) })
		}
	}
	best := p.new(tensor.I32, 1)
	x := p.random(1, p.vocab())
	p.measure(opResult{Op: "arg_max", Type: "f32", Shape: fmt.Sprintf("1×%d", p.vocab())}, 0, 0, 1, func(int) { p.s.ArgMax(best, x) })
	x, vals, ids := p.random(1, p.vocab()), p.new(tensor.F32, 64), p.new(tensor.I32, 64)
	p.measure(opResult{Op: "top_k", Type: "f32", Shape: fmt.Sprintf("64 of 1×%d", p.vocab())}, 0, 0, 1, func(int) { p.s.TopK(vals, ids, x) })
}

// table places all numbers of a tensor, made where --quantize changes its type.
func (p *opBench) table(t *gguf.Tensor) *tensor.Tensor {
	data, err := t.Numbers()
	if err != nil {
		return p.keep(nil, err)
	}
	return p.keep(p.dev.Place("w", t.DType, t.Shape, data))
}

// square measures f16 products of large square matrices, with the device's own
// kernel, and with cuBLAS where it is found.
func (p *opBench) square(c card) {
	n := 8192
	if c.Info().SMs < 6 {
		n = 256
	}
	own := func(use bool) error {
		if b, ok := p.dev.(interface{ UseCUBLAS(bool) error }); ok {
			return b.UseCUBLAS(use)
		}
		return nil
	}
	run := func(name string) {
		f, x, w, dst := p.random(n, n), p.new(tensor.F16, n, n), p.new(tensor.F16, n, n), p.new(tensor.F16, n, n)
		p.s.Convert(x, f)
		p.s.Convert(w, f)
		r := opResult{Op: name, Type: "f16", Shape: fmt.Sprintf("%d×%d · %d", n, n, n)}
		p.measure(r, 0, 2*float64(n)*float64(n)*float64(n), 1, func(int) { p.s.MatMul(dst, w, x) })
	}
	if err := own(false); err == nil {
		run("matmul")
	}
	if _, has := p.dev.(interface{ UseCUBLAS(bool) error }); has && own(true) == nil {
		run("matmul by cuBLAS")
	}
}

func (p *opBench) print(w io.Writer) error {
	if p.read > 0 {
		fmt.Fprintf(w, "%s; the card reads its memory at %.0f GB/s\n\n", deviceText(p.dev), p.read)
	}
	fmt.Fprintf(w, "| %-16s | %-9s | %-34s | %10s | %7s | %7s | %8s |\n", "operation", "type", "shape", "µs", "GB/s", "of read", "TFLOP/s")
	fmt.Fprintln(w, "| ---------------- | --------- | ---------------------------------- | ---------: | ------: | ------: | -------: |")
	for _, r := range p.results {
		gb, share, flops := "", "", ""
		if r.GBPerSecond > 0 {
			gb = fmt.Sprintf("%.0f", r.GBPerSecond)
		}
		if r.ShareOfRead > 0 {
			share = fmt.Sprintf("%.0f %%", 100*r.ShareOfRead)
		}
		if r.TFLOPs > 0 {
			flops = fmt.Sprintf("%.2f", r.TFLOPs)
		}
		if _, err := fmt.Fprintf(w, "| %-16s | %-9s | %-34s | %10.1f | %7s | %7s | %8s |\n", r.Op, r.Type, r.Shape, r.Micros, gb, share, flops); err != nil {
			return err
		}
	}
	return nil
}
