// Package simd multiplies activations by rows of weights in any storage format:
// the products that a transformer spends its time in.
//
// A product has two steps. Prepare brings rows of activations into the form
// that the kernel's arithmetic wants; kernels of the same Form share the
// result. Mul then multiplies by a range of rows of the weights, read where
// they lie, in the file's own format. Both can be split over workers freely:
// ranges of rows are independent.
package simd

import (
	"fmt"

	"github.com/llcuda/llcuda/tensor"
)

// A Kernel multiplies by weights of one format. It has no state: use it from
// any number of goroutines.
type Kernel struct {
	dtype tensor.DType
	form  Form
	set   *set // the instruction set's routines
}

// For is the best kernel of this machine for weights of type d, which must be
// registered.
func For(d tensor.DType) *Kernel {
	if int(d) < len(best) && best[d] != nil {
		return best[d]
	}
	return sets[0].kernel(d)
}

// best holds a kernel for each type number: For is called for each operation.
var best = func() (all [64]*Kernel) {
	for _, d := range tensor.DTypes() {
		all[d] = sets[0].kernel(d)
	}
	return all
}()

// kernel makes the set's kernel for d.
func (s *set) kernel(d tensor.DType) *Kernel {
	if !d.Known() {
		panic(fmt.Sprintf("simd: %s is not registered", d))
	}
	return &Kernel{dtype: d, set: s}
}

// Form is the form of prepared activations that the kernel reads.
func (k *Kernel) Form() Form { return k.form }

// PreparedBytes is the size of n rows of cols activations in the kernel's form.
func (k *Kernel) PreparedBytes(n, cols int) int { return n * k.form.rowBytes(cols) }

// Prepare brings the rows [lo, hi) of x (n, cols) into the kernel's form in
// dst, which has room for all n. cols is a multiple of the block length.
func (k *Kernel) Prepare(dst []byte, x []float32, cols, n, lo, hi int) {
	row := k.form.rowBytes(cols)
	for i := lo; i < hi; i++ {
		k.form.prepare(k.set, dst[i*row:(i+1)*row], x[i*cols:(i+1)*cols])
	}
}

// ScratchBytes is what one worker needs to call Mul.
func (k *Kernel) ScratchBytes(n, cols int) int {
	return 4 * cols
}

// RowAlign is what row ranges of Mul should start and end at multiples of,
// for speed alone: every range gives the same numbers.
func (k *Kernel) RowAlign(n int) int {
	return 1
}

// Mul computes dst[i*ldd+j] = Σ x[i]·w[j] for all i in [0, n) and j in
// [lo, hi). w holds the rows of weights from row 0 on, cols numbers each,
// prepared what Prepare made of all n rows; scratch has ScratchBytes. w may
// lie at any address, and nothing outside it is read.
func (k *Kernel) Mul(dst []float32, ldd int, w []byte, prepared []byte, cols, n, lo, hi int, scratch []byte) {
	if n <= 0 || lo >= hi {
		return
	}
	row := k.dtype.Bytes(cols)
	a := args{dst: dst[lo : (n-1)*ldd+hi], ldd: ldd, w: w[lo*row : hi*row], row: row, x: prepared[:k.PreparedBytes(n, cols)],
		cols: cols, n: n, rows: hi - lo, scratch: scratch}
	k.mulFloats(&a)
}

// args are the operands of Mul with the range of rows cut out.
type args struct {
	dst     []float32 // (n, ldd), from column lo on
	ldd     int
	w       []byte // rows of row bytes
	row     int
	x       []byte // prepared (n, cols)
	cols, n int
	rows    int
	scratch []byte
}
