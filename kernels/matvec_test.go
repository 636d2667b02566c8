package kernels

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// TestMatVec compares products of one row with float64: on cards with a ring and
// without, of shapes that make one warp or many share a unit, one round or more,
// one pass or more, groups that are not full, and inputs that are read in parts.
func TestMatVec(t *testing.T) {
	t.Setenv("EMU_SMS", "5")
	for _, capability := range []string{"7.5", "9.0"} {
		t.Setenv("EMU_CC", capability)
		d := emulated(t)
		for _, c := range []struct {
			dt   tensor.DType
			m, k int
		}{
			{tensor.Q8_0, 1, 32}, {tensor.Q8_0, 500, 160}, {tensor.Q8_0, 1640, 2048}, {tensor.Q8_0, 35, 4096}, {tensor.Q8_0, 20, 20512},
			{tensor.Q5_0, 100, 1152}, {tensor.Q5_0, 170, 4352}, {tensor.Q5_0, 40, 14336},
			{tensor.Q4_K, 90, 256}, {tensor.Q4_K, 1640, 2048}, {tensor.Q4_K, 40, 8192},
			{tensor.Q6_K, 200, 768}, {tensor.Q6_K, 330, 4096}, {tensor.Q6_K, 16, 14336},
			{tensor.Q3_K, 100, 2304}, {tensor.NF4, 100, 2112}, {tensor.IQ4_XS, 100, 4096}, {tensor.MXFP4, 100, 3072},
		} {
			t.Run(fmt.Sprintf("capability=%s,%s,%d×%d", capability, c.dt, c.m, c.k), func(t *testing.T) {
				got, want := productCase{w: c.dt, x: tensor.F32, dst: tensor.F32, n: 1, m: c.m, k: c.k, scale: 1}.run(t, d)
				if e, bound := errorOf(got, want), map[bool]float64{true: 3e-7, false: 1e-8}[c.dt == tensor.NF4]; !(e < bound) {
					t.Errorf("error %.2g, want less than %.0g", e, bound)
				}
			})
		}
	}
}

// TestMatVecs: recorded products of one input share launches, and give what they
// give one by one: weights of many heights, slices of weights, more than a launch
// takes; and not where one needs what another writes.
func TestMatVecs(t *testing.T) {
	t.Setenv("EMU_SMS", "5")
	for _, capability := range []string{"7.5", "9.0"} {
		t.Setenv("EMU_CC", capability)
		d := emulated(t)
		for _, c := range []struct {
			name     string
			dt       tensor.DType
			k        int
			heights  []int
			launches int
		}{
			{"one warp a unit", tensor.Q8_0, 160, []int{1, 16, 17, 300, 5, 1000}, 1},
			{"all warps a unit", tensor.Q5_0, 4096, []int{40, 1, 90}, 1},
			{"superblocks", tensor.Q4_K, 2048, []int{40, 16, 90, 33}, 1},
			{"two types", tensor.Q6_K, 768, []int{40, 16, -30, -20, 50}, 3},
			{"as many as a launch takes", tensor.Q4_0, 64, slices.Repeat([]int{20}, 125), 1},
			{"one more, by itself", tensor.IQ4_XS, 256, slices.Repeat([]int{20}, 126), 2},
			{"more than a launch takes", tensor.NF4, 128, slices.Repeat([]int{20}, 260), 3},
		} {
			t.Run("capability="+capability+","+c.name, func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, 2))
				x, xn := random(t, d, r, tensor.F32, 1, true, 1, c.k)
				defer d.Free(x)
				var weights, results []*tensor.Tensor
				var want [][]float64
				for _, m := range c.heights {
					dt := c.dt
					if m < 0 { // of another type
						dt, m = tensor.Q8_0, -m
					}
					w, wn := random(t, d, r, dt, 1, false, m, c.k)
					y, err := d.New(tensor.F32, 1, m)
					if err != nil {
						t.Fatal(err)
					}
					defer d.Free(w)
					defer d.Free(y)
					if m > 32 { // from a row within
						w, y, m, wn = w.Slice(16, m), y.Reshape(m).Slice(16, m).Reshape(1, m-16), m-16, wn[16*c.k:]
					}
					sums := make([]float64, m)
					for i := range wn {
						sums[i/c.k] += float64(wn[i]) * float64(xn[i%c.k])
					}
					weights, results, want = append(weights, w), append(results, y), append(want, sums)
				}
				s := tensor.NewStream(d)
				p, err := s.Record(func() {
					for i, w := range weights {
						s.MatMul(results[i], w, x)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Free()
				if got := p.(*graph).launches; got != c.launches {
					t.Errorf("%d launches, want %d", got, c.launches)
				}
				s.Run(p)
				for i, y := range results {
					raw := make([]byte, y.Bytes())
					if err := errors.Join(s.Sync(), d.Read(raw, y)); err != nil {
						t.Fatal(err)
					}
					got := make([]float32, y.Len())
					tensor.F32.Decode(got, raw)
					if e, bound := errorOf(got, want[i]), map[bool]float64{true: 3e-6, false: 1e-7}[c.dt == tensor.NF4]; !(e < bound) {
						t.Errorf("product %d: error %.2g, want less than %.0g", i, e, bound)
					}
				}
			})
		}
	}
}

// TestMatVecsApart: products that need each other are not put together.
func TestMatVecsApart(t *testing.T) {
	d := emulated(t)
	r := rand.New(rand.NewPCG(1, 2))
	w, _ := random(t, d, r, tensor.Q8_0, 1, false, 64, 64)
	v, _ := random(t, d, r, tensor.Q8_0, 1, false, 32, 64)
	x, _ := random(t, d, r, tensor.F32, 1, true, 1, 64)
	a, _ := random(t, d, r, tensor.F32, 1, true, 1, 64)
	b, _ := random(t, d, r, tensor.F32, 1, true, 1, 64)
	defer func() {
		for _, t := range []*tensor.Tensor{a, b, w, v, x} {
			d.Free(t)
		}
	}()
	half := b.Reshape(64).Slice(32, 64).Reshape(1, 32)
	s := tensor.NewStream(d)
	for _, c := range []struct {
		name     string
		record   func()
		launches int
	}{
		{"the second's input is the first's result", func() { s.MatMul(a, w, x); s.MatMul(b, w, a) }, 2},
		{"the first's input is the second's result", func() { s.MatMul(a, w, x); s.MatMul(x, w, x) }, 2},
		{"a part of a result is another's", func() { s.MatMul(b, w, x); s.MatMul(half, v, x) }, 2},
		{"the same result", func() { s.MatMul(b, w, x); s.MatMul(b, w, x) }, 2},
		{"something between", func() { s.MatMul(a, w, x); s.Scale(x, x, 2); s.MatMul(b, w, x) }, 3},
		{"nothing of that", func() { s.MatMul(a, w, x); s.MatMul(b, w, x) }, 1},
	} {
		p, err := s.Record(c.record)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := p.(*graph).launches; got != c.launches {
			t.Errorf("%s: %d launches, want %d", c.name, got, c.launches)
		}
		p.Free()
	}
}

// TestRingShare: how many warps share a unit (as a power of two), and slots of a
// ring, of shapes that were measured on a card with 132 SMs.
func TestRingShare(t *testing.T) {
	for _, c := range []struct{ m, k, least, most, half, share, slots int }{
		{128256, 4096, 0, 6, 3, 4, 6}, {14336, 4096, 1, 11, 5, 4, 6}, {4096, 14336, 0, 5, 2, 4, 4}, {4096, 4096, 1, 10, 5, 4, 3},
		{4096, 4096, 0, 6, 3, 4, 4}, {1024, 4096, 0, 10, 4, 4, 6}, {1024, 4096, 0, 6, 2, 4, 4}, {2048, 8192, 1, 9, 4, 4, 6},
		{8192, 2048, 1, 10, 5, 3, 3}, {2048, 2048, 0, 10, 4, 3, 6}, {262144, 1152, 0, 10, 5, 0, 6}, {4096, 4096, 0, 3, 1, 4, 3},
	} {
		units, groups := ceil(ceil(c.m, tileRows), 132), ceil(c.k, tileColumns)
		share := ringShare(units, groups, c.least)
		tiles := ceil(units, matvecWarps>>share) * ceil(groups, 1<<share)
		if slots := slotsOf(units, tiles, c.most, c.half); int(share) != c.share || slots != c.slots {
			t.Errorf("%d×%d: got share %d, %d slots, want %d, %d", c.m, c.k, share, slots, c.share, c.slots)
		}
	}
}
