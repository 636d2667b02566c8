package kernels

import (
	"fmt"
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
				diff, square := 0.0, 0.0
				for i := range want {
					diff += (got[i] - want[i]) * (got[i] - want[i])
					square += want[i] * want[i]
				}
				if e, bound := diff/square, map[bool]float64{true: 3e-7, false: 1e-8}[c.dt == tensor.NF4]; !(e < bound) {
					t.Errorf("error %.2g, want less than %.0g", e, bound)
				}
			})
		}
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
