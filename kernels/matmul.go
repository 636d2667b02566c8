package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// tileK is how many columns matmul.cuh takes at a time.
const tileK = 32

// matmulArgs is matmul.cuh's MatMulArgs.
type matmulArgs struct {
	w              planes
	x, xScale      uint64
	wScale         uint64
	dst, partial   uint64
	first          int32
	n, m           int32
	ldx, ldw, ldd  int32
	steps, each    int32
	splits, stages int32
	dtype, _       int32
}

// activationsArgs is activations.cu's ActivationsArgs.
type activationsArgs struct {
	x, to, scale uint64
	n, k, ld, _  int32
}

// sumArgs is matmul_sum.cu's SumArgs.
type sumArgs struct {
	partial, xScale, wScale, dst uint64
	n, m, ldd                    int32
	splits                       int32
	dtype, _                     int32
}

// matmulF32Args is matmul_f32.cu's MatMulF32Args.
type matmulF32Args struct {
	w, x, dst, partial  uint64
	n, m, k             int32
	each, wide          int32
	wType, xType, dtype int32
}

var (
	_ = mirror(matmulArgs{}, matmulKernels())
	_ = mirror(activationsArgs{}, "activations_f32", "activations_f16", "activations_bf16")
	_ = mirror(sumArgs{}, "matmul_sum")
	_ = mirror(matmulF32Args{}, "matmul_f32_128", "matmul_f32_64", "matmul_plain")
)

func matmulKernels() []string {
	names := []string{"matmul_f16_256", "matmul_f16_128", "matmul_f16_64", "matmul_f16_32", "matmul_f16_16"}
	for dt := range planeBytes {
		for _, width := range []string{"_128", "_64", "_32", "_16"} {
			names = append(names, "matmul_"+dt.String()+width)
		}
	}
	return names
}

// A converted is what matmulInputScratch holds: x as f16, and the scales of its
// rows. Products of one input (q, k and v; gate and up) convert it once.
type converted struct {
	addr       uint64
	dtype      tensor.DType
	rows, cols int
	generation int // of scratch memory
}

// forget is to be called for what is written to: t's numbers are no longer those
// that were converted.
func (c *converted) forget(t *tensor.Tensor) {
	if lo := ptr(t); c.addr < lo+uint64(t.Bytes()) && lo < c.addr+uint64(c.dtype.Bytes(c.rows*c.cols)) {
		*c = converted{}
	}
}

// matMul: dst (n, m) = x (n, k) · wᵀ, w (m, k).
//
//	one row of x        matvec.cu, packed weights: bound by reading w
//	up to 32            few.cuh, packed weights
//	up to eight         matvec_raw.cu, other weights
//	more                matmul.cuh: tensor cores, f16 operands, f32 sums;
//	                    weights that are not packed become f16 by panels of rows
//	f32, f64, integers  matmul_f32.cu: all of float32
//
// Large products of plain types are cuBLAS's where a machine has it.
//
// Rows that are alike take few.cuh, eight after eight or 32 after 32, or the
// tiles: along k these add in one order, whatever their size, and k is cut as it
// is for a typical number of rows.
func (d *Device) matMul(op *tensor.Op) error {
	n, m, k := op.B.Rows(), op.A.Rows(), op.A.Cols()
	if n*m == 0 {
		return nil
	}
	if k == 0 {
		return d.zero(ptr(op.Dst), op.Dst.Bytes())
	}
	if op.Alike == tensor.Apart {
		if done, err := d.matVec(op); done || err != nil {
			return err
		}
	}
	most := 0
	switch {
	case op.Alike == tensor.AlikeFew, op.Alike == tensor.Apart && n <= fewRows:
		most = fewRows
	case op.Alike == tensor.AlikeSome, op.Alike == tensor.Apart && n <= someRows:
		most = someRows
	}
	if most > 0 {
		if done, err := d.few(op, most); done || err != nil {
			return err
		}
	}
	if op.Alike == tensor.Apart {
		if _, _, packed := d.packed(op.A); n <= matVecRawRows && !packed {
			return d.matVecRaw(op)
		}
		if d.blasMatMul(op, n, m, k) {
			return nil
		}
	}
	switch w := op.A.DType; {
	case w.Quantised() || w == tensor.F16 || w == tensor.BF16:
		return d.matMulTiles(op, n, m, k)
	}
	return d.matMulF32(op, n, m, k)
}

// An operand is an f16 matrix as the tiles read it, (rows, ld), ld a multiple
// of 32, and the scales of its rows, 0 for ones.
type operand struct {
	addr, scale uint64
	ld          int
}

// matMulTiles is a product on tensor cores.
func (d *Device) matMulTiles(op *tensor.Op, n, m, k int) error {
	x, err := d.matMulInput(op.B)
	if err != nil {
		return err
	}
	a := matmulArgs{x: x.addr, xScale: x.scale, dst: ptr(op.Dst), n: int32(n), m: int32(m), ldx: int32(x.ld), ldd: int32(m),
		steps: int32(ceil(k, tileK)), dtype: int32(op.Dst.DType)}
	if w, first, ok := d.packed(op.A); ok && first+int64(m*k/32) < 1<<31 {
		a.w, a.first = w, int32(first/int64(k/32))
		return d.tiles(op.A.DType, op.Alike, &a)
	}
	if w, ok := asF16(op.A); ok {
		a.w[0], a.ldw = w.addr, int32(w.ld)
		return d.tiles(tensor.F16, op.Alike, &a)
	}
	return d.panels(a, op)
}

// panels is a product with weights that become f16 first, a panel of rows at a
// time. a lacks the weights.
func (d *Device) panels(a matmulArgs, op *tensor.Op) error {
	const most = 64 << 20 // bytes of a panel
	m, ld := op.A.Rows(), int(a.steps)*tileK
	step := min(m, max(most/(2*ld)/large.m, 1)*large.m)
	for lo := 0; lo < m; lo += step {
		part := op.A.Slice(lo, min(lo+step, m))
		w, err := d.panel(part, ld, step)
		if err != nil {
			return err
		}
		a.w, a.ldw, a.wScale, a.m = planes{w.addr}, int32(ld), w.scale, int32(part.Rows())
		a.dst = ptr(op.Dst) + uint64(op.Dst.DType.Bytes(lo))
		if err := d.tiles(tensor.F16, op.Alike, &a); err != nil {
			return err
		}
	}
	return nil
}

// asF16 is t itself, where the tiles can read it as it is.
func asF16(t *tensor.Tensor) (operand, bool) {
	return operand{addr: ptr(t), ld: t.Cols()}, t.DType == tensor.F16 && t.Cols()%tileK == 0 && t.Addr%16 == 0
}

// matMulInput is x for the tiles.
func (d *Device) matMulInput(x *tensor.Tensor) (operand, error) {
	if o, ok := asF16(x); ok {
		return o, nil
	}
	o, is, err := d.inputRoom(x)
	if err != nil {
		return operand{}, err
	}
	if d.input == is {
		return o, nil
	}
	d.input = converted{}
	if err := d.toF16(x, o); err != nil {
		return operand{}, err
	}
	if !d.dry {
		d.input = is
	}
	return o, nil
}

// inputRoom is where x lies for the tiles once it is converted, and what d.input
// says then.
func (d *Device) inputRoom(x *tensor.Tensor) (operand, converted, error) {
	n, k := x.Rows(), x.Cols()
	ld := ceil(k, tileK) * tileK
	scales := (4*n + 255) &^ 255 // they come first: whoever reads those of a row may write it anew
	addr, err := d.scratch(matmulInputScratch, scales+2*n*ld)
	return operand{addr + uint64(scales), addr, ld}, converted{ptr(x), x.DType, n, k, d.generation}, err
}

// toF16 issues the conversion of x's rows.
func (d *Device) toF16(x *tensor.Tensor, to operand) error {
	a := activationsArgs{x: ptr(x), to: to.addr, scale: to.scale, n: int32(x.Rows()), k: int32(x.Cols()), ld: int32(to.ld)}
	return d.launch("activations_"+x.DType.String(), x.Rows(), 256, 0, unsafe.Pointer(&a))
}

// panel makes f16 of rows of a weight; most is how many rows the largest panel
// of it has.
func (d *Device) panel(w *tensor.Tensor, ld, most int) (operand, error) {
	size := 2 * most * ld
	addr, err := d.scratch(matmulWeightScratch, size+4*most)
	if err != nil {
		return operand{}, err
	}
	o := operand{addr: addr, ld: ld}
	if !w.DType.Quantised() {
		o.scale = addr + uint64(size)
		return o, d.toF16(w, o)
	}
	return o, d.decodeChunks(addr, tensor.F16, w, 0, w.Len()/32)
}

// A variant is a tile of so many rows of w and of x.
type variant struct {
	kernel     string  // its ending
	m, n, warp int     // rows of w, of x; warps
	blocks     int     // of an SM, by registers
	step       float64 // µs that a block takes for 32 columns, on an H100
}

// variants for up to n rows of x; the last takes any number. large is for f16
// where the SM has the shared memory for it.
var (
	variants = [...]variant{{"_16", 128, 16, 4, 6, 0.25}, {"_32", 128, 32, 4, 4, 0.3}, {"_64", 128, 64, 4, 3, 0.4}, {"_128", 128, 128, 4, 2, 0.57}}
	large    = variant{"_256", 256, 128, 8, 1, 0.57}
)

// sharedFor is the shared memory of a tile: that of its operands, or that
// through which its results go out.
func (v variant) sharedFor(w tensor.DType, stages int) int {
	wTile, xTile, columns := v.m*tileK*2, v.n*tileK*2, min(v.n, 32)
	operands := 2*wTile + stages*xTile
	if w == tensor.F16 {
		operands = stages * (wTile + xTile)
	}
	return max(operands, columns*(v.m+4)*4)
}

// stages is how many tiles of x are in shared memory: 2 where no cp.async fills
// them and an SM has 64 KB.
func (d *Device) stages() int {
	if d.info.Major < 8 {
		return 2
	}
	return 4
}

// variantFor chooses the tile for n rows of x and m of w.
func (d *Device) variantFor(w tensor.DType, n, m int) variant {
	for _, v := range variants {
		if n <= v.n {
			return v
		}
	}
	if w == tensor.F16 && ceil(n, large.n)*ceil(m, large.m) >= 2*d.sms() && large.sharedFor(w, d.stages()) <= d.info.SharedPerBlock {
		return large
	}
	return variants[len(variants)-1]
}

// tiles issues the tiles of a product, of weights of a type that has them.
func (d *Device) tiles(w tensor.DType, alike tensor.Alike, a *matmulArgs) error {
	n, m := int(a.n), int(a.m)
	if alike == tensor.Apart {
		if t, ok := d.denseFor(w, a); ok {
			return d.issueDense(t, a)
		}
		v := d.variantFor(w, n, m)
		return d.issueTiles(w, v, d.splitFor(w, v, n, m, int(a.steps)), a)
	}
	typical := d.variantFor(w, typicalRows[alike], m)
	splits := d.splitFor(w, typical, typicalRows[alike], m, int(a.steps))
	return d.issueTiles(w, d.variantFor(w, n, m), splits, a)
}

// typicalRows are those of products whose rows are alike.
var typicalRows = [...]int{tensor.AlikeFew: 16, tensor.AlikeSome: 32, tensor.AlikeMany: 256}

// splitFor is into how many parts along k the tiles of a product are cut.
func (d *Device) splitFor(w tensor.DType, v variant, n, m, steps int) int {
	count := ceil(m, v.m) * ceil(n, v.n)
	return d.split(count, steps, min(v.blocks, d.info.SharedPerSM/v.sharedFor(w, d.stages())), n*m, v.step)
}

func (d *Device) issueTiles(w tensor.DType, v variant, splits int, a *matmulArgs) error {
	a.stages = int32(d.stages())
	smem := v.sharedFor(w, int(a.stages))
	count := ceil(int(a.m), v.m) * ceil(int(a.n), v.n)
	a.each = int32(ceil(int(a.steps), splits))
	a.splits = int32(ceil(int(a.steps), int(a.each)))
	var err error
	if a.partial = 0; a.splits > 1 {
		if a.partial, err = d.scratch(matmulPartScratch, 4*int(a.splits)*int(a.n)*int(a.m)); err != nil {
			return err
		}
	}
	err = d.launch("matmul_"+w.String()+v.kernel, count*int(a.splits), 32*v.warp, smem, unsafe.Pointer(a))
	if err != nil || a.splits == 1 {
		return err
	}
	return d.sumParts(sumArgs{partial: a.partial, xScale: a.xScale, wScale: a.wScale, dst: a.dst, n: a.n, m: a.m, ldd: a.ldd,
		splits: a.splits, dtype: a.dtype})
}

// sumParts adds the parts of a product.
func (d *Device) sumParts(a sumArgs) error {
	return d.launch("matmul_sum", ceil(int(a.n)*int(a.m), 256), 256, 0, unsafe.Pointer(&a))
}

// split is into how many parts along k a product is cut whose tiles are count,
// of steps each, where an SM has so many blocks at a time, and a step takes so
// many µs on an H100.
func (d *Device) split(count, steps, blocks, results int, step float64) int {
	if d.info.Major < 9 {
		step *= 2 // tensor cores of half the speed
	}
	perMicrosecond := 0.75 * d.info.Bandwidth() / 1e6
	return bestSplit(count, steps, d.sms()*max(1, blocks), 3/step, 8*float64(results)/perMicrosecond/step)
}

// bestSplit weighs the time of the waves of tiles, slots at a time, against
// that of adding parts: the launch, and writing and reading one, in steps.
func bestSplit(count, steps, slots int, launch, part float64) int {
	best, least := 1, 0.0
	for s := 1; s <= min(64, max(1, steps/4)); s++ {
		time := float64(ceil(count*s, slots)) * float64(ceil(steps, s)+3)
		if s > 1 {
			time += launch + float64(s)*part
		}
		if s == 1 || time < least {
			best, least = s, time
		}
	}
	return best
}

// matMulF32 is a product in float32, of weights that are f32, f64 or integers.
func (d *Device) matMulF32(op *tensor.Op, n, m, k int) error {
	a := matmulF32Args{w: ptr(op.A), x: ptr(op.B), dst: ptr(op.Dst), n: int32(n), m: int32(m), k: int32(k),
		wType: int32(op.A.DType), xType: int32(op.B.DType), dtype: int32(op.Dst.DType)}
	kernel, side, blocks, step := "matmul_plain", 64, 3, 1.5
	if op.A.DType == tensor.F32 && op.B.DType == tensor.F32 {
		kernel, step = "matmul_f32_64", 0.5
		if k%4 == 0 && (a.w|a.x)%16 == 0 {
			a.wide = 1
		}
		if op.Alike == tensor.Apart && ceil(n, 128)*ceil(m, 128) >= d.sms() {
			kernel, side, blocks, step = "matmul_f32_128", 128, 2, 1
		}
	}
	count, steps, typical := ceil(n, side)*ceil(m, side), ceil(k, 16), n
	if op.Alike != tensor.Apart {
		typical = typicalRows[op.Alike]
	}
	each := ceil(steps, d.split(ceil(typical, side)*ceil(m, side), steps, blocks, typical*m, step))
	splits := ceil(steps, each)
	a.each = int32(each * 16)
	var err error
	if splits > 1 {
		if a.partial, err = d.scratch(matmulPartScratch, 4*splits*n*m); err != nil {
			return err
		}
	}
	if err := d.launch(kernel, count*splits, 256, 0, unsafe.Pointer(&a)); err != nil || splits == 1 {
		return err
	}
	return d.sumParts(sumArgs{partial: a.partial, dst: a.dst, n: a.n, m: a.m, ldd: a.m, splits: int32(splits), dtype: a.dtype})
}
