package kernels

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// stepArgs is step.cuh's Step.
type stepArgs struct {
	products, lots, attends uint64
	launches                uint64
	pick                    pickArgs
	count, units            int32
	region, sums            int32
	room, _                 int32
}

// adaptedStepArgs is step.cuh's AdaptedStep.
type adaptedStepArgs struct {
	stepArgs
	adapted uint64
}

var (
	_ = mirror(stepArgs{}, stepKernels(false)...)
	_ = mirror(adaptedStepArgs{}, stepKernels(true)...)
)

// stepKernel is the persistent kernel for heads of dim numbers and a type of
// cache, without its ending (ring), "" if there is none.
func stepKernel(dim int, cache tensor.DType) string {
	switch {
	case (dim == 64 || dim == 128 || dim == 256) && (cache == tensor.F16 || cache == tensor.Q8_0), dim == 96 && cache == tensor.F16:
		return fmt.Sprintf("step_%d_%s", dim, cache)
	}
	return ""
}

func stepKernels(adapted bool) (all []string) {
	for _, dim := range []int{64, 96, 128, 256} {
		for _, cache := range []tensor.DType{tensor.F16, tensor.Q8_0} {
			if k := stepKernel(dim, cache); k != "" {
				for _, m := range stepModules {
					if m.adapted == adapted && m.has(dim, cache) {
						own := m.name + strings.TrimPrefix(k, "step")
						all = append(all, own, own+"_ring")
					}
				}
			}
		}
	}
	return all
}

// A step is the stages of one token, launched as one cooperative kernel. It
// owns the memory that describes them.
type step struct {
	dev    *Device
	kernel string
	args   adaptedStepArgs // or their stepArgs alone
	smem   int
	scaled []attend // those whose RoPE has factors, one for each table
	owned  []uint64
}

// fuse makes stages of what it can of g's operations. Where that is nothing,
// or where the user wants none (LLCUDA_FUSE=0), g stays as it is.
func (g *graph) fuse() error {
	d := g.dev
	if !fusing() || !d.info.Cooperative || slices.ContainsFunc(g.ops, func(op tensor.Op) bool { return op.Seq != nil || op.Alike != tensor.Apart }) {
		return nil
	}
	f := &fusion{d: d, ops: g.ops}
	if !f.match() || len(f.attends) == 0 {
		return errors.Join(f.err, f.drop())
	}
	s, err := f.build()
	if err != nil || s == nil {
		return errors.Join(err, f.drop())
	}
	g.ops, g.step, g.after = g.ops[:f.before], s, f.after
	return nil
}

// drop frees what a fusion took that came to nothing.
func (f *fusion) drop() error {
	var errs []error
	for _, addr := range f.owned {
		errs = append(errs, f.d.drv.MemFree(addr))
	}
	return errors.Join(errs...)
}

// build writes the description of the stages to the card. It returns nil where
// there is no kernel for them.
func (f *fusion) build() (*step, error) {
	d := f.d
	op := f.attends[0].op
	dim := op.A.Cols() / op.Heads
	module := f.module(dim, op.B.DType)
	if module == nil {
		return nil, nil
	}
	s := &step{dev: d, kernel: module.name + strings.TrimPrefix(stepKernel(dim, op.B.DType), "step")}
	a := &s.args
	a.count = int32(len(f.products))
	region := decodeShared
	for _, p := range f.products {
		region = max(region, activationBytes(int(p.cols)))
	}
	static := sharedOfStep
	if f.adapting() {
		static += lowBytes
	}
	l := d.layOut(region, static, module.slot())
	if l.room < 2 {
		return nil, nil
	}
	a.region, a.sums, a.room, s.smem = l.ring, l.sums, l.room, l.bytes
	s.kernel += l.ending

	if f.pick.token != 0 {
		f.pick.best = f.own(8 * d.sms())
		f.products[len(f.products)-1].best = f.pick.best
	}
	a.pick, a.launches = f.pick, f.own(8)
	decodes, units, err := f.decodes()
	if err != nil {
		return nil, err
	}
	a.units = int32(units)
	f.bind()
	a.products = upload(f, f.products)
	var lots []lot
	for _, io := range f.inputs {
		lots = append(lots, io.lots...)
	}
	a.lots = upload(f, lots)
	a.attends = upload(f, decodes)
	if f.adapting() {
		a.adapted = upload(f, f.adapted())
	}
	for _, a := range f.attends {
		if a.factors != nil && !slices.ContainsFunc(s.scaled, func(b attend) bool { return *b.rope == *a.rope && same(b.factors, a.factors) }) {
			s.scaled = append(s.scaled, a)
		}
	}
	s.owned = f.owned
	return s, f.err
}

// A stepModule has persistent kernels for weights of some types: code for more
// of them makes a kernel slower.
type stepModule struct {
	name    string
	types   []tensor.DType // nil: all that are packed
	heads   []int          // of these dimensions, with f16 caches; nil: all that stepKernel knows
	adapted bool           // products may have adapters
}

// stepModules, the preferred ones first.
var stepModules = [...]stepModule{
	{"step_k", []tensor.DType{tensor.Q4_K, tensor.Q6_K}, nil, false},
	{"step", []tensor.DType{tensor.Q4_K, tensor.Q6_K, tensor.Q5_0, tensor.Q8_0}, nil, false},
	{"step_nf4", []tensor.DType{tensor.NF4, tensor.Q6_K, tensor.Q8_0}, []int{64, 128, 256}, false},
	{"step_all", nil, nil, false},
	{"step_lora_k", []tensor.DType{tensor.Q4_K, tensor.Q6_K}, []int{64, 128}, true},
	{"step_lora", []tensor.DType{tensor.Q4_K, tensor.Q6_K, tensor.Q5_0, tensor.Q8_0}, []int{64, 128, 256}, true},
	{"step_lora_nf4", []tensor.DType{tensor.NF4, tensor.Q6_K, tensor.Q8_0}, []int{64, 128}, true},
	{"step_lora_all", nil, []int{64, 128, 256}, true},
}

// has says whether the module has kernels for heads and a cache that
// stepKernel knows.
func (m *stepModule) has(dim int, cache tensor.DType) bool {
	return m.heads == nil || slices.Contains(m.heads, dim) && cache == tensor.F16
}

// slot is flow.cuh's SLOT_BYTES: room for a tile of any of the types.
func (m *stepModule) slot() int {
	if len(m.types) == 2 {
		return 1792
	}
	return 2176
}

// module is the first that has kernels for all weights, nil if there is none.
func (f *fusion) module(dim int, cache tensor.DType) *stepModule {
	for i := range stepModules {
		if m := &stepModules[i]; m.adapted == f.adapting() && m.has(dim, cache) && f.only(m.types) {
			return m
		}
	}
	return nil
}

// only says whether all weights are of these types; nil are all.
func (f *fusion) only(types []tensor.DType) bool {
	for _, p := range f.products {
		for _, part := range p.part[:p.parts] {
			if types != nil && !slices.Contains(types, tensor.DType(part.dtype)) {
				return false
			}
		}
	}
	return true
}

// bind tells the products where their vectors are.
func (f *fusion) bind() {
	to := func(v *value, addr *uint64, tag *uint8) {
		if v != nil {
			*addr, *tag = v.addr, v.tag
		}
	}
	for i, io := range f.inputs {
		p := &f.products[i]
		to(io.x, &p.x, &p.tags.x)
		to(io.post, &p.post, &p.tags.post)
		to(io.sum, &p.sum, &p.tags.sum)
		to(io.residual, &p.residual, &p.tags.residual)
		for i, v := range io.dst {
			var tag uint8
			to(v, &p.part[i].dst, &tag)
			p.part[i].tag = int32(tag)
		}
	}
}

// decodes are the attention stages as the kernel sees them, and how many units
// the largest has: layers differ by their caches. One after the other they use
// the same scratch memory.
func (f *fusion) decodes() (all []decodeArgs, units int, err error) {
	dim := f.attends[0].op.A.Cols() / f.attends[0].op.Heads
	for i := range f.attends {
		at := &f.attends[i]
		a, err := f.d.decodeArgs(at.op)
		if err != nil {
			return nil, 0, err
		}
		turns, err := f.d.ropeTable(at.rope, at.factors)
		if err != nil {
			return nil, 0, err
		}
		a.q, a.kNew, a.vNew, a.dst = at.q.addr, at.k.addr, at.v.addr, at.dst.addr
		a.tags = decodeTags{at.q.tag, at.k.tag, at.v.tag, at.dst.tag}
		a.qNorm, a.kNorm = ptr(at.qNorm), ptr(at.kNorm)
		a.turns, a.rope, a.mscale, a.eps = turns, int32(at.rope.Dims), ropeMul(at.rope), at.eps
		if at.rope.NeoX {
			a.neox = 1
		}
		units = max(units, int(a.sets*a.splits))
		all = append(all, a)
	}
	partials := f.own(2 * units * decodePartial(dim)) // Stamped: each number with a stamp
	for i := range all {
		all[i].partials, all[i].number, all[i].of = partials, int32(i), int32(len(all))
	}
	return all, units, nil
}

// upload puts a list into device memory that the program owns.
func upload[T any](f *fusion, list []T) uint64 {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(list))), len(list)*int(unsafe.Sizeof(list[0])))
	addr := f.own(len(bytes))
	if f.err == nil {
		f.err = f.d.put(addr, bytes)
	}
	return addr
}

// fusing is off where LLCUDA_FUSE is 0: then every operation is a kernel.
func fusing() bool { return os.Getenv("LLCUDA_FUSE") != "0" }

// launch issues the stages; before them what makes the tables of RoPE whose factors
// have been written since they were constants, for they may be again.
func (s *step) launch() error {
	for _, a := range s.scaled {
		if err := s.dev.usable(&tensor.Op{Kind: tensor.OpRoPE, B: a.factors}); err != nil {
			return err
		}
		if _, err := s.dev.ropeTable(a.rope, a.factors); err != nil {
			return err
		}
	}
	return s.dev.launchCooperative(s.kernel, s.dev.sms(), matvecThreads, s.smem, unsafe.Pointer(&s.args))
}

// free gives back the step's memory. It does nothing for none.
func (s *step) free() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, addr := range s.owned {
		errs = append(errs, s.dev.drv.MemFree(addr))
	}
	s.owned = nil
	return errors.Join(errs...)
}

// put copies bytes of the host to an address of the card.
func (d *Device) put(addr uint64, src []byte) error {
	for len(src) > 0 {
		n := min(len(src), smallest)
		part, err := d.host.part(d, n)
		if err != nil {
			return err
		}
		copy(part, src[:n])
		if err := d.drv.MemcpyHtoD(addr, part, d.stream); err != nil {
			return err
		}
		src, addr = src[n:], addr+uint64(n)
	}
	return nil
}
