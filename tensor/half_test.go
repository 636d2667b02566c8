package tensor

import (
	"math"
	"math/big"
	"testing"
)

// TestHalfRoundTrip: every binary16 but NaN survives the way through float32.
func TestHalfRoundTrip(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f := HalfToFloat(h)
		if f != f {
			if got := FloatToHalf(f); got&0x7c00 != 0x7c00 || got&0x3ff == 0 {
				t.Errorf("NaN %#04x became %#04x", h, got)
			}
			continue
		}
		if got := FloatToHalf(f); got != h {
			t.Errorf("%#04x → %g → %#04x", h, f, got)
		}
	}
}

// TestFloatToHalfNearest compares with exact arithmetic: no neighbour is
// nearer, and of two that are as near the even one is taken.
func TestFloatToHalfNearest(t *testing.T) {
	for i := uint64(0); i < 1<<32; i += 65521 {
		f := math.Float32frombits(uint32(i))
		h := FloatToHalf(f)
		if f != f || h&0x7c00 == 0x7c00 {
			continue
		}
		off := func(h uint16) *big.Float {
			d := new(big.Float).Sub(big.NewFloat(float64(f)), big.NewFloat(float64(halfToFloat(h))))
			return d.Abs(d)
		}
		for _, n := range []uint16{h - 1, h + 1} {
			if n&0x7fff > 0x7bff || n>>15 != h>>15 {
				continue
			}
			if c := off(n).Cmp(off(h)); c < 0 || c == 0 && h&1 == 1 {
				t.Errorf("%g → %#04x, but %#04x is nearer or even", f, h, n)
			}
		}
	}
	for f, want := range map[float32]uint16{65519.996: 0x7bff, 65520: 0x7c00, -70000: 0xfc00, 0x1p-25: 0, 0x1.8p-25: 1, 0x1p-24: 1} {
		if got := FloatToHalf(f); got != want {
			t.Errorf("FloatToHalf(%g) = %#04x, want %#04x", f, got, want)
		}
	}
}
