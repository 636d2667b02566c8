package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSums: the assembly's sums are the Go code's, bit for bit, and these are
// the definition's within the rounding of float32.
func TestSums(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 9))
	for range 2000 {
		n := 8 * (1 + rng.IntN(4))
		x, w := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i], w[i] = float32(rng.NormFloat64()), float32(rng.ExpFloat64())
		}
		inv, shift, top := float32(rng.NormFloat64()*8), float32(rng.Float64()*16), float32(int(4)<<rng.IntN(4)-1)
		var got, want [3]float32
		affineSums(x, w, inv, shift, top, &got)
		affineGo(x, w, inv, shift, top, &want)
		var got2, want2 [2]float32
		symmetricSums(x, w, inv, -top-1, top, &got2)
		symmetricGo(x, w, inv, -top-1, top, &want2)
		if got != want || got2 != want2 {
			t.Fatalf("%d numbers: %v and %v, in Go %v and %v", n, got, got2, want, want2)
		}
		var exact [5]float64
		for i, v := range x {
			q := min(max(math.RoundToEven(float64(float32(v*inv)+shift)), 0), float64(top))
			p := min(max(math.RoundToEven(float64(v*inv)), float64(-top-1)), float64(top))
			for k, y := range []float64{q, q * q, q * float64(v), p * p, p * float64(v)} {
				exact[k] += float64(w[i]) * y
			}
		}
		for k, v := range []float32{got[0], got[1], got[2], got2[0], got2[1]} {
			if math.Abs(float64(v)-exact[k]) > 1e-5*(math.Abs(exact[k])+exact[1]+exact[3]+1) {
				t.Fatalf("sum %d is %g, want %g", k, v, exact[k])
			}
		}
	}
}
