package kernels

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// A product is made of numbers of a size, of types and in shapes that the
// conformance cases have not.
type productCase struct {
	name    string
	w, x    tensor.DType
	dst     tensor.DType
	n, m, k int
	scale   float64 // of x
	written bool    // w is made by New and Write, not placed
}

// TestMatMul compares with products in float64, of the numbers that the types
// made of the operands.
func TestMatMul(t *testing.T) {
	f32, f16, bf16 := tensor.F32, tensor.F16, tensor.BF16
	d := emulated(t)
	for _, c := range []productCase{
		{"x beyond f16", tensor.Q4_K, f32, f32, 20, 40, 512, 1e7, false},
		{"x tiny", tensor.Q6_K, f32, f32, 20, 40, 512, 1e-20, false},
		{"x near the end of f32", tensor.Q8_0, f32, f32, 9, 40, 256, 1e35, false},
		{"bf16 in full range", bf16, bf16, f32, 20, 40, 96, 1e30, false},
		{"bf16 odd", bf16, bf16, bf16, 19, 35, 37, 1, false},
		{"f16 odd", f16, f16, f16, 65, 131, 37, 1, false},
		{"f16 with f32", f16, f32, f32, 130, 260, 70, 1000, false},
		{"f32 with bf16", f32, bf16, bf16, 17, 70, 33, 1, false},
		{"f32 wide", f32, f32, f32, 129, 130, 260, 1, false},
		{"integers", tensor.I32, f32, f32, 17, 20, 40, 1, false},
		{"written weights", tensor.Q4_K, f32, f32, 12, 33, 256, 1, true},
		{"written weights, many", tensor.Q5_0, f16, f16, 70, 140, 64, 1, true},
		{"several tiles, split", tensor.Q4_K, f32, f32, 140, 150, 2048, 1, false},
		{"several tiles, split, few rows", tensor.Q6_K, f32, f32, 11, 300, 4096, 1, false},
		{"no columns", f16, f16, f16, 3, 4, 0, 1, false},
		{"no rows", tensor.Q4_0, f32, f32, 0, 4, 32, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, want := c.run(t, d)
			bound := map[tensor.DType]float64{f32: 1e-6, f16: 1e-6, bf16: 1e-5}[c.dst]
			if e := errorOf(got, want); !slices.Equal(got, want) && !(e < bound) {
				t.Errorf("error %.2g, want less than %.0g", e, bound)
			}
		})
	}
}

// TestMatMulLevels holds products of bitsandbytes' 4-bit types to what levels.cuh
// says of them, for one row and for a few, whose levels are f16.
func TestMatMulLevels(t *testing.T) {
	d := emulated(t)
	for _, c := range []struct {
		w     tensor.DType
		n     int
		bound float64
	}{{tensor.NF4, 1, 2.6e-7}, {tensor.FP4, 1, 1e-8}, {tensor.NF4, 8, 3e-7}, {tensor.FP4, 8, 3e-7}} {
		got, want := productCase{w: c.w, x: tensor.F32, dst: tensor.F32, n: c.n, m: 300, k: 2048, scale: 1}.run(t, d)
		e := errorOf(got, want)
		t.Logf("%s, %d rows: %.3g", c.w, c.n, e)
		if !(e < c.bound) {
			t.Errorf("%s, %d rows: error %.2g, want less than %.1g", c.w, c.n, e, c.bound)
		}
	}
}

func (c productCase) run(t *testing.T, d *Device) (got, want []float64) {
	r := rand.New(rand.NewPCG(1, 2))
	w, wn := random(t, d, r, c.w, 1, c.written, c.m, c.k)
	x, xn := random(t, d, r, c.x, c.scale, true, c.n, c.k)
	defer d.Free(w)
	defer d.Free(x)
	dst, err := d.New(c.dst, c.n, c.m)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(dst)
	s := tensor.NewStream(d)
	s.MatMul(dst, w, x)
	raw := make([]byte, dst.Bytes())
	if err := errors.Join(s.Sync(), d.Read(raw, dst)); err != nil {
		t.Fatal(err)
	}
	y := make([]float32, c.n*c.m)
	c.dst.Decode(y, raw)
	for i := range y {
		sum := 0.0
		for l := range c.k {
			sum += float64(wn[i%c.m*c.k+l]) * float64(xn[i/c.m*c.k+l])
		}
		got, want = append(got, float64(y[i])), append(want, sum)
	}
	return got, want
}

// random is a tensor of normal numbers, and what its type made of them.
func random(t *testing.T, d *Device, r *rand.Rand, dt tensor.DType, scale float64, written bool, shape ...int) (*tensor.Tensor, []float32) {
	t.Helper()
	x := make([]float32, tensor.Count(shape))
	for i := range x {
		x[i] = float32(r.NormFloat64() * scale)
	}
	raw := encoded(dt, x, r)
	dt.Decode(x, raw)
	var made *tensor.Tensor
	var err error
	if written {
		if made, err = d.New(dt, shape...); err == nil {
			err = d.Write(made, raw)
		}
	} else {
		made, err = d.Place("w", dt, shape, raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return made, x
}

func encoded(dt tensor.DType, x []float32, r *rand.Rand) []byte {
	raw := make([]byte, dt.Bytes(len(x)))
	if dt == tensor.I32 {
		for i := range x {
			raw[4*i] = byte(r.Uint32() & 63)
		}
		return raw
	}
	dt.Encode(raw, x)
	return raw
}

// TestMatMulLarge is the tile for large products, which only large ones choose.
func TestMatMulLarge(t *testing.T) {
	d := emulated(t)
	const n, m, k = 200, 300, 160
	r := rand.New(rand.NewPCG(1, 2))
	w, wn := random(t, d, r, tensor.F16, 1, false, m, k)
	x, xn := random(t, d, r, tensor.F16, 1, true, n, k)
	dst, err := d.New(tensor.F32, n, m)
	if err != nil {
		t.Fatal(err)
	}
	a := matmulArgs{w: planes{ptr(w)}, x: ptr(x), dst: ptr(dst), n: n, m: m, ldx: k, ldw: k, ldd: m, steps: k / tileK}
	if large.sharedFor(tensor.F16, 4) > d.info.SharedPerBlock {
		t.Skip("this card has not the shared memory")
	}
	if err := d.enter("test"); err != nil {
		t.Fatal(err)
	}
	err = d.issueTiles(tensor.F16, large, d.splitFor(tensor.F16, large, int(a.n), int(a.m), int(a.steps)), &a)
	d.leave()
	raw, y := make([]byte, dst.Bytes()), make([]float32, n*m)
	if err = errors.Join(err, d.Read(raw, dst)); err != nil {
		t.Fatal(err)
	}
	tensor.F32.Decode(y, raw)
	for i, got := range y {
		want := 0.0
		for l := range k {
			want += float64(wn[i%m*k+l]) * float64(xn[i/m*k+l])
		}
		if math.Abs(float64(got)-want) > 1e-3 {
			t.Fatalf("number (%d, %d) is %v, want %v", i/m, i%m, got, want)
		}
	}
}

// TestMatMulTwice: sums are made in the same order each time.
func TestMatMulTwice(t *testing.T) {
	d := emulated(t)
	r := rand.New(rand.NewPCG(1, 2))
	w, _ := random(t, d, r, tensor.Q4_K, 1, false, 64, 4096)
	x, _ := random(t, d, r, tensor.F32, 1, true, 20, 4096)
	var first []byte
	for range 2 {
		dst, err := d.New(tensor.F32, 20, 64)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, dst.Bytes())
		if err := errors.Join(d.Do(&tensor.Op{Kind: tensor.OpMatMul, Dst: dst, A: w, B: x}), d.Read(got, dst)); err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, got) {
			t.Error("two runs of one product differ")
		}
		first = got
	}
}

func TestBestSplit(t *testing.T) {
	for _, c := range []struct {
		name                string
		count, steps, slots int
		launch, part        float64
		want                int
	}{
		{"many tiles", 1000, 128, 264, 5, 12, 1},
		{"half of the card is free", 128, 128, 264, 5, 12, 2},
		{"parts cost more than they bring", 128, 128, 264, 5, 40, 1},
		{"nothing to cut", 1, 4, 264, 5, 0, 1},
		{"one wave", 264, 128, 264, 5, 12, 1},
		{"one tile: as far as parts go", 1, 448, 264, 5, 0.1, 64},
	} {
		if got := bestSplit(c.count, c.steps, c.slots, c.launch, c.part); got != c.want {
			t.Errorf("%s: %d parts, want %d", c.name, got, c.want)
		}
	}
}

// BenchmarkMatMul is prefill's products, on a card (LLCUDA_LIBCUDA=libcuda.so.1):
// those of an 8B model for 512 tokens, few rows, and square ones of plain types.
// "panels" decodes weights to f16 first and multiplies those.
func BenchmarkMatMul(b *testing.B) {
	d := emulated(b)
	if d.info.SMs < 16 {
		b.Skip("no card")
	}
	for _, c := range []struct {
		w       tensor.DType
		n, m, k int
		panels  bool
	}{
		{tensor.Q4_K, 512, 4096, 4096, false}, {tensor.Q4_K, 512, 4096, 4096, true},
		{tensor.Q4_K, 512, 1024, 4096, false}, {tensor.Q4_K, 512, 14336, 4096, false},
		{tensor.Q4_K, 512, 14336, 4096, true}, {tensor.Q4_K, 512, 4096, 14336, false},
		{tensor.Q6_K, 512, 4096, 14336, false}, {tensor.Q5_0, 512, 6912, 1152, false},
		{tensor.Q8_0, 512, 4096, 4096, false}, {tensor.Q4_0, 512, 4096, 4096, false},
		{tensor.Q4_K, 2048, 14336, 4096, false}, {tensor.Q4_K, 2048, 14336, 4096, true},
		{tensor.Q4_K, 2, 14336, 4096, false}, {tensor.Q4_K, 8, 14336, 4096, false},
		{tensor.Q4_K, 16, 14336, 4096, false}, {tensor.Q4_K, 32, 14336, 4096, false},
		{tensor.Q4_K, 64, 14336, 4096, false}, {tensor.F16, 16, 14336, 4096, false},
		{tensor.F16, 512, 4096, 4096, false}, {tensor.F16, 4096, 4096, 4096, false},
		{tensor.F16, 8192, 8192, 8192, false}, {tensor.BF16, 4096, 4096, 4096, false},
		{tensor.F32, 4096, 4096, 4096, false},
	} {
		name := fmt.Sprintf("%s/%dx%dx%d", c.w, c.n, c.m, c.k)
		if c.panels {
			name += "/panels"
		}
		b.Run(name, func(b *testing.B) { benchmarkProduct(b, d, c.w, c.n, c.m, c.k, c.panels) })
	}
}

func benchmarkProduct(b *testing.B, d *Device, wt tensor.DType, n, m, k int, panels bool) {
	w, err := d.Place("w", wt, []int{m, k}, make([]byte, wt.Bytes(m*k)))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Free(w)
	xt := tensor.F32
	if !wt.Quantised() {
		xt = wt
	}
	x, err := d.New(xt, n, k)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Free(x)
	dst, err := d.New(xt, n, m)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Free(dst)
	op := &tensor.Op{Kind: tensor.OpMatMul, Dst: dst, A: w, B: x}
	do := func() error { return d.Do(op) }
	if panels {
		do = func() error {
			if err := d.enter("matmul"); err != nil {
				return err
			}
			defer d.leave()
			in, err := d.matMulInput(x)
			if err != nil {
				return err
			}
			return d.panels(matmulArgs{x: in.addr, xScale: in.scale, n: int32(n), ldx: int32(in.ld), ldd: int32(m),
				steps: int32(ceil(k, tileK)), dtype: int32(dst.DType)}, op)
		}
	}
	if err := errors.Join(do(), d.Sync()); err != nil {
		b.Fatal(err)
	}
	took, err := d.Time(func() error {
		for range b.N {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	each := took.Seconds() / float64(b.N)
	b.ReportMetric(2*float64(n)*float64(m)*float64(k)/each/1e12, "TFLOP/s")
	b.ReportMetric(float64(w.Bytes())/each/1e9, "GB/s")
	b.ReportMetric(each*1e6, "µs")
}
