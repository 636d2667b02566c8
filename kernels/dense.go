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

// A dense is a tile of dense.cuh: so many rows of w and of x, columns of a
// stage, threads.
type dense struct {
	kernel  string
	m, n, k int
	stages  int
	threads int
}

var denses = []dense{
	{"dense_a", 256, 128, 64, 4, 256},
	{"dense_b", 256, 128, 32, 6, 256},
	{"dense_c", 128, 128, 64, 3, 128},
	{"dense_w", 128, 256, 64, 4, 256},
	{"dense_v", 192, 256, 64, 4, 384}, // Hopper's alone
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

// denseFor is the tile for a large product of f16. LLCUDA_F16_TILE names
// another one to compare ("a"), or none ("0").
func (d *Device) denseFor(w tensor.DType, a *matmulArgs) (dense, bool) {
	t, chosen := denses[0], os.Getenv("LLCUDA_F16_TILE")
	for _, other := range denses {
		if other.kernel == "dense_"+chosen {
			t = other
		}
	}
	fits := w == tensor.F16 && int(a.steps)*tileK%t.k == 0 && t.shared() <= d.info.SharedPerBlock
	return t, fits && chosen != "0" && t.tiles(int(a.n), int(a.m)) >= 2*d.sms()
}

func (t dense) tiles(n, m int) int { return ceil(n, t.n) * ceil(m, t.m) }

func (d *Device) issueDense(t dense, a *matmulArgs) error {
	args := denseArgs{w: a.w[0], x: a.x, xScale: a.xScale, wScale: a.wScale, dst: a.dst, n: a.n, m: a.m,
		ldx: a.ldx, ldw: a.ldw, ldd: a.ldd, k: a.steps * tileK, dtype: a.dtype, band: int32(2048 / t.n)}
	return d.launch(t.kernel, t.tiles(int(a.n), int(a.m)), t.threads, t.shared(), unsafe.Pointer(&args))
}
