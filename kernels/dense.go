package kernels

import (
	"os"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// denseArgs is dense.cuh's DenseArgs.
type denseArgs struct {
	w, x, xScale, wScale, dst uint64
	n, m, ldx, ldw, ldd       int32
	k, dtype, band            int32
}

// A dense is a tile of dense.cuh.
type dense struct {
	kernel  string
	m, n, k int // rows of w, of x, columns of a stage
	stages  int
	threads int
	major   int // of the compute capability
}

// denses in the order in which they are preferred.
var denses = []dense{
	{"dense_w", 128, 256, 64, 4, 256, 9},
	{"dense_b", 256, 128, 32, 6, 256, 8},
	{"dense_c", 128, 128, 64, 3, 128, 8},
}

var _ = mirror(denseArgs{}, denseKernels())

func denseKernels() (names []string) {
	for _, t := range denses {
		names = append(names, t.kernel)
	}
	return names
}

// shared is the shared memory of a block: its stages, or 32 columns of results.
func (t dense) shared() int {
	return max(t.stages*(t.m+t.n)*t.k*2, 32*(t.m+4)*4) + 1024 // to begin at a multiple of
}

// denseFor is the tile for a large product of f16: the first that the card has
// the shared memory for. LLCUDA_F16_TILE names one to compare ("w"), or none
// ("0").
func (d *Device) denseFor(w tensor.DType, a *matmulArgs) (dense, bool) {
	if w != tensor.F16 {
		return dense{}, false
	}
	only := os.Getenv("LLCUDA_F16_TILE")
	for _, t := range denses {
		fits := int(a.steps)*tileK%t.k == 0 && t.shared() <= d.info.SharedPerBlock && t.major <= d.info.Major
		if fits && t.tiles(int(a.n), int(a.m)) >= 2*d.sms() && (only == "" || t.kernel == "dense_"+only) {
			return t, true
		}
	}
	return dense{}, false
}

func (t dense) tiles(n, m int) int { return ceil(n, t.n) * ceil(m, t.m) }

func (d *Device) issueDense(t dense, a *matmulArgs) error {
	args := denseArgs{w: a.w[0], x: a.x, xScale: a.xScale, wScale: a.wScale, dst: a.dst, n: a.n, m: a.m,
		ldx: a.ldx, ldw: a.ldw, ldd: a.ldd, k: a.steps * tileK, dtype: a.dtype, band: int32(2048 / t.n)}
	return d.launch(t.kernel, t.tiles(int(a.n), int(a.m)), t.threads, t.shared(), unsafe.Pointer(&args))
}
