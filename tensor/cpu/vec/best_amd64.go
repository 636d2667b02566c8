package vec

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate sh -c "cd ../gen/vec && go run . -out ../../vec/vec_amd64.s -stubs ../../vec/vec_amd64.go -pkg vec"

func init() {
	x := &cpu.X86
	if x.HasAVX2 && x.HasFMA && hasF16C() {
		best = withTails(8, &avx2)
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasFMA && x.HasAVX2 {
		best = withTails(16, &avx512)
	}
}

// hasF16C asks the processor for its half-float conversions, which
// golang.org/x/sys/cpu does not report: CPUID leaf 1, ECX bit 29.
func hasF16C() bool

// routines are the assembly of one instruction set. They take whole vectors.
type routines struct {
	add, mul   func(dst, a, b *float32, n int)
	scale      func(dst, x *float32, n int, f float32)
	scaleMul   func(dst, x, w *float32, n int, f float32)
	sumSq, max func(x *float32, n int) float32
	expSum     func(dst, x *float32, n int, sub float32) float32
	silu, gelu func(dst, x, y *float32, n int)
	geluErf    func(dst, x *float32, n int)
	tanhCap    func(dst, x *float32, n int, cap, inverse float32)
	turn       func(dst, x, cos, sin *float32, n int)
	turnHalf   func(dst, x, cos, sin *float32, n, half int)
	fromHalf   func(dst *float32, src *uint16, n int)
	toHalf     func(dst *uint16, src *float32, n int)
	fromQ8     func(dst *float32, src *byte, blocks int)
	soften     func(s *float32, keys, n int, scale float32, max, sum, factor *float32)
	scores     [5]func(dst *float32, ldd int, q *float32, dim int, k *float32, ldk, keys int) // by heads
	scores16   [5]func(dst *float32, ldd int, q *float32, dim int, k *uint16, ldk, keys int)
	tiles      []tile[float32] // the best first; every width has all heights
	tiles16    []tile[uint16]
}

// A tile is a product's inner loop for so many rows and vectors of columns.
type tile[T any] struct {
	rows, vecs int
	run        func(c *float32, ldc int, a *float32, rowA, colA int, b *T, ldb, k int, add bool)
}

var avx2 = routines{
	addAVX2, mulAVX2, scaleAVX2, scaleMulAVX2, sumSqAVX2, maxAVX2, expSumAVX2, siluAVX2, geluAVX2, geluErfAVX2, tanhCapAVX2,
	turnAVX2, turnHalfAVX2, fromHalfAVX2, toHalfAVX2, fromQ8AVX2, softenAVX2,
	[5]func(dst *float32, ldd int, q *float32, dim int, k *float32, ldk, keys int){1: scores1AVX2, scores2AVX2, scores3AVX2, scores4AVX2},
	[5]func(dst *float32, ldd int, q *float32, dim int, k *uint16, ldk, keys int){1: scores1HAVX2, scores2HAVX2, scores3HAVX2, scores4HAVX2},
	[]tile[float32]{{4, 2, tile4x2AVX2}, {3, 2, tile3x2AVX2}, {2, 2, tile2x2AVX2}, {1, 2, tile1x2AVX2},
		{4, 1, tile4x1AVX2}, {3, 1, tile3x1AVX2}, {2, 1, tile2x1AVX2}, {1, 1, tile1x1AVX2}},
	[]tile[uint16]{{4, 2, tile4x2HAVX2}, {3, 2, tile3x2HAVX2}, {2, 2, tile2x2HAVX2}, {1, 2, tile1x2HAVX2},
		{4, 1, tile4x1HAVX2}, {3, 1, tile3x1HAVX2}, {2, 1, tile2x1HAVX2}, {1, 1, tile1x1HAVX2}},
}

var avx512 = routines{
	addAVX512, mulAVX512, scaleAVX512, scaleMulAVX512, sumSqAVX512, maxAVX512, expSumAVX512, siluAVX512, geluAVX512, geluErfAVX512, tanhCapAVX512,
	turnAVX512, turnHalfAVX512, fromHalfAVX512, toHalfAVX512, fromQ8AVX512, softenAVX512,
	[5]func(dst *float32, ldd int, q *float32, dim int, k *float32, ldk, keys int){1: scores1AVX512, scores2AVX512, scores3AVX512, scores4AVX512},
	[5]func(dst *float32, ldd int, q *float32, dim int, k *uint16, ldk, keys int){1: scores1HAVX512, scores2HAVX512, scores3HAVX512, scores4HAVX512},
	[]tile[float32]{{8, 2, tile8x2AVX512}, {8, 1, tile8x1AVX512}, {4, 4, tile4x4AVX512}, {3, 4, tile3x4AVX512}, {2, 4, tile2x4AVX512}, {1, 4, tile1x4AVX512},
		{4, 2, tile4x2AVX512}, {3, 2, tile3x2AVX512}, {2, 2, tile2x2AVX512}, {1, 2, tile1x2AVX512},
		{4, 1, tile4x1AVX512}, {3, 1, tile3x1AVX512}, {2, 1, tile2x1AVX512}, {1, 1, tile1x1AVX512}},
	[]tile[uint16]{{4, 4, tile4x4HAVX512}, {3, 4, tile3x4HAVX512}, {2, 4, tile2x4HAVX512}, {1, 4, tile1x4HAVX512},
		{4, 2, tile4x2HAVX512}, {3, 2, tile3x2HAVX512}, {2, 2, tile2x2HAVX512}, {1, 2, tile1x2HAVX512},
		{4, 1, tile4x1HAVX512}, {3, 1, tile3x1HAVX512}, {2, 1, tile2x1HAVX512}, {1, 1, tile1x1HAVX512}},
}

// withTails makes loops over any length of routines over whole vectors: the
// rest is plain. It puts nothing on the heap: an empty slice has a pointer that
// no routine reads.
func withTails(lanes int, r *routines) loops {
	whole := func(n int) int { return n &^ (lanes - 1) }
	return loops{
		add:  zip(lanes, r.add, plain.add),
		mul:  zip(lanes, r.mul, plain.mul),
		silu: zip(lanes, r.silu, plain.silu),
		gelu: zip(lanes, r.gelu, plain.gelu),
		scale: func(dst, x []float32, f float32) {
			n := whole(len(x))
			r.scale(first(dst), first(x), n, f)
			plain.scale(dst[n:], x[n:], f)
		},
		scaleMul: func(dst, x, w []float32, f float32) {
			n := whole(len(x))
			r.scaleMul(first(dst), first(x), first(w), n, f)
			plain.scaleMul(dst[n:], x[n:], w[n:], f)
		},
		sumSq: func(x []float32) float32 {
			n := whole(len(x))
			return r.sumSq(first(x), n) + plain.sumSq(x[n:])
		},
		max: func(x []float32) float32 {
			n := whole(len(x))
			return max(r.max(first(x), n), plain.max(x[n:]))
		},
		expSum: func(dst, x []float32, sub float32) float32 {
			n := whole(len(x))
			return r.expSum(first(dst), first(x), n, sub) + plain.expSum(dst[n:], x[n:], sub)
		},
		geluErf: func(dst, x []float32) {
			n := whole(len(x))
			r.geluErf(first(dst), first(x), n)
			plain.geluErf(dst[n:], x[n:])
		},
		tanhCap: func(dst, x []float32, cap float32) {
			n := whole(len(x))
			r.tanhCap(first(dst), first(x), n, cap, 1/cap)
			plain.tanhCap(dst[n:], x[n:], cap)
		},
		turn: func(dst, x, cos, sin []float32) {
			n := len(cos) &^ (lanes/2 - 1)
			r.turn(first(dst), first(x), first(cos), first(sin), n)
			plain.turn(dst[2*n:], x[2*n:], cos[n:], sin[n:])
		},
		turnHalf: func(dst, x, cos, sin []float32) {
			if half := len(cos); half == whole(half) {
				r.turnHalf(first(dst), first(x), first(cos), first(sin), half, half)
				return
			}
			plain.turnHalf(dst, x, cos, sin)
		},
		fromHalf: func(dst []float32, src []uint16) {
			n := whole(len(dst))
			r.fromHalf(first(dst), first(src), n)
			plain.fromHalf(dst[n:], src[n:])
		},
		toHalf: func(dst []uint16, src []float32) {
			n := whole(len(src))
			r.toHalf(first(dst), first(src), n)
			plain.toHalf(dst[n:], src[n:])
		},
		fromQ8: func(dst []float32, src []byte) { r.fromQ8(first(dst), first(src), len(dst)/32) },
		soften: func(s []float32, keys, n int, scale float32, max, sum, factor []float32) {
			r.soften(first(s), keys, n, scale, first(max), first(sum), first(factor))
		},
		gemm:     gemm(lanes, r.tiles, plain.gemm),
		gemm16:   gemm(lanes, r.tiles16, plain.gemm16),
		scores:   scores(lanes, &r.scores, plain.scores),
		scores16: scores(lanes, &r.scores16, plain.scores16),
	}
}

func first[T any](s []T) *T { return unsafe.SliceData(s) }

func zip(lanes int, run func(dst, a, b *float32, n int), rest func(dst, a, b []float32)) func(dst, a, b []float32) {
	return func(dst, a, b []float32) {
		n := len(dst) &^ (lanes - 1)
		run(first(dst), first(a), first(b), n)
		rest(dst[n:], a[n:], b[n:])
	}
}

// gemm covers c with the largest tiles that fit, a panel of columns after the
// other: the panel of b stays in the first cache while rows of a pass by.
func gemm[T any](lanes int, tiles []tile[T], rest gemmLoop[T]) gemmLoop[T] {
	return func(c []float32, ldc int, a []float32, rowA, colA int, b []T, ldb int, m, n, k int, add bool) {
		for j := 0; j < n; {
			if n-j < lanes {
				rest(c[j:], ldc, a, rowA, colA, b[j:], ldb, m, n-j, k, add)
				return
			}
			width := 0
			for i := 0; i < m; {
				t := fit(tiles, m-i, (n-j)/lanes, width)
				t.run(&c[i*ldc+j], ldc, &a[i*rowA], rowA, colA, &b[j], ldb, k, add)
				i, width = i+t.rows, t.vecs
			}
			j += width * lanes
		}
	}
}

// fit is the first tile within rows and vecs, of the width of the panel once
// that is chosen.
func fit[T any](tiles []tile[T], rows, vecs, width int) *tile[T] {
	for i := range tiles {
		if t := &tiles[i]; t.rows <= rows && t.vecs <= vecs && (width == 0 || t.vecs == width) {
			return t
		}
	}
	panic("vec: no tile")
}

func scores[T any](lanes int, runs *[5]func(dst *float32, ldd int, q *float32, dim int, k *T, ldk, keys int), rest scoresLoop[T]) scoresLoop[T] {
	return func(dst []float32, ldd int, q []float32, heads, dim int, k []T, ldk, keys int) {
		if dim%lanes != 0 {
			rest(dst, ldd, q, heads, dim, k, ldk, keys)
			return
		}
		for h := 0; h < heads; h += 4 {
			runs[min(heads-h, 4)](&dst[h*ldd], ldd, &q[h*dim], dim, &k[0], ldk, keys)
		}
	}
}
