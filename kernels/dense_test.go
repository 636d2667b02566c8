package kernels

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// TestDense compares each tile with products in float64: rows of w and x that
// fill no tile, more columns than the stages hold, scales of rows.
func TestDense(t *testing.T) {
	d := emulated(t)
	const n, m, k = 200, 300, 320
	for _, tile := range denses {
		for _, to := range []tensor.DType{tensor.F32, tensor.F16, tensor.BF16} {
			t.Run(tile.kernel+" to "+to.String(), func(t *testing.T) { testDense(t, d, tile, to, n, m, k) })
		}
	}
}

func testDense(t *testing.T, d *Device, tile dense, to tensor.DType, n, m, k int) {
	if tile.shared() > d.info.SharedPerBlock {
		t.Skip("this card has not the shared memory")
	}
	r := rand.New(rand.NewPCG(1, 2))
	w, wn := random(t, d, r, tensor.F16, 1, false, m, k)
	x, xn := random(t, d, r, tensor.F16, 1, true, n, k)
	ws, wsn := random(t, d, r, tensor.F32, 1, true, m)
	xs, xsn := random(t, d, r, tensor.F32, 1, true, n)
	dst, err := d.New(to, n, m)
	if err != nil {
		t.Fatal(err)
	}
	a := matmulArgs{w: planes{ptr(w)}, x: ptr(x), xScale: ptr(xs), wScale: ptr(ws), dst: ptr(dst), n: int32(n), m: int32(m),
		ldx: int32(k), ldw: int32(k), ldd: int32(m), steps: int32(k / tileK), dtype: int32(to)}
	if err := d.enter("test"); err != nil {
		t.Fatal(err)
	}
	err = d.issueDense(tile, &a)
	d.leave()
	raw, y := make([]byte, dst.Bytes()), make([]float32, n*m)
	if err = errors.Join(err, d.Read(raw, dst)); err != nil {
		t.Fatal(err)
	}
	to.Decode(y, raw)
	relative := map[tensor.DType]float64{tensor.F32: 0, tensor.F16: 0x1p-11, tensor.BF16: 0x1p-8}[to]
	for i, got := range y {
		want := 0.0
		for l := range k {
			want += float64(wn[i%m*k+l]) * float64(xn[i/m*k+l])
		}
		want *= float64(wsn[i%m]) * float64(xsn[i/m])
		if !(math.Abs(float64(got)-want) <= 2e-3+relative*math.Abs(want)) {
			t.Fatalf("number (%d, %d) is %v, want %v", i/m, i%m, got, want)
		}
	}
	for _, t := range []*tensor.Tensor{w, x, ws, xs, dst} {
		d.Free(t)
	}
}

// BenchmarkDense is a large product of f16, of normal numbers (zeros take less
// power, and clocks are higher), by cuBLAS, the tile of matmul.cuh and each of
// dense.cuh's, whose results are compared with those of the one before. On a
// card: LLCUDA_LIBCUDA=libcuda.so.1.
func BenchmarkDense(b *testing.B) {
	d := emulated(b)
	if d.info.SMs < 16 {
		b.Skip("no card")
	}
	const n, m, k = 8192, 8192, 8192
	part := make([]float32, 1<<18)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range part {
		part[i] = float32(r.NormFloat64())
	}
	raw := make([]byte, 0, 2*m*k)
	for len(raw) < cap(raw) {
		some := make([]byte, 2*len(part))
		tensor.F16.Encode(some, part)
		raw = append(raw, some...)
	}
	w, err := d.Place("w", tensor.F16, []int{m, k}, raw)
	x, errX := d.New(tensor.F16, n, k)
	dst, errDst := d.New(tensor.F16, n, m)
	if err := errors.Join(err, errX, errDst); err != nil {
		b.Fatal(err)
	}
	if err := d.Write(x, raw); err != nil {
		b.Fatal(err)
	}
	a := matmulArgs{w: planes{ptr(w)}, x: ptr(x), dst: ptr(dst), n: n, m: m, ldx: k, ldw: k, ldd: m, steps: k / tileK, dtype: int32(tensor.F16)}
	var before []float32
	check := func(b *testing.B) {
		got := make([]float32, n*m)
		if err := d.Read(raw, dst); err != nil {
			b.Fatal(err)
		}
		tensor.F16.Decode(got, raw)
		diff, square := 0.0, 0.0
		for i, v := range before {
			e := float64(got[i]) - float64(v)
			diff, square = diff+e*e, square+float64(v)*float64(v)
		}
		if before != nil && !(diff < 1e-6*square) {
			b.Errorf("differs from the one before by %.2g", diff/square)
		}
		before = got
	}
	run := func(name string, do func() error) {
		b.Run(name, func(b *testing.B) {
			if b.N == 1 {
				if err := errors.Join(d.enter("bench"), d.zero(ptr(dst), dst.Bytes())); err != nil {
					b.Fatal(err)
				}
				d.leave()
			}
			entered := func() error {
				if err := d.enter("bench"); err != nil {
					return err
				}
				defer d.leave()
				return do()
			}
			if err := errors.Join(entered(), d.Sync()); err != nil {
				b.Fatal(err)
			}
			if b.N == 1 {
				check(b)
			}
			took, err := d.Time(func() error {
				for range b.N {
					if err := entered(); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(2*float64(n)*m*k*float64(b.N)/took.Seconds()/1e12, "TFLOP/s")
		})
	}
	run("cublas", func() error { // fails where there is none
		if !d.blasMatMul(&tensor.Op{Kind: tensor.OpMatMul, Dst: dst, A: w, B: x}, n, m, k) {
			return errors.New("there is no cuBLAS")
		}
		return nil
	})
	run("matmul_f16_256", func() error {
		return d.issueTiles(tensor.F16, large, d.splitFor(tensor.F16, large, int(a.n), int(a.m), int(a.steps)), &a)
	})
	for _, t := range denses {
		run(t.kernel, func() error { return d.issueDense(t, &a) })
	}
}
