package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

var lengths = []int{0, 1, 3, 8, 15, 16, 17, 31, 64, 100, 576, 4099}

// each runs f with every set of loops that this machine has, plain Go first.
func each(t *testing.T, f func(t *testing.T, l loops)) {
	old := best
	defer func() { best = old }()
	for _, s := range sets() {
		t.Run(s.name, func(t *testing.T) {
			best = s.loops
			f(t, s.loops)
		})
	}
}

func random(r *rand.Rand, n int, spread float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * spread)
	}
	return x
}

// within wants every number within tol of want's size, or within floor.
func within(t *testing.T, what string, got []float32, want func(i int) float64, tol, floor float64) {
	t.Helper()
	for i, g := range got {
		if w := want(i); math.Abs(float64(g)-w) > max(tol*math.Abs(w), floor) || math.IsNaN(float64(g)) != math.IsNaN(w) {
			t.Fatalf("%s: number %d of %d is %v, want %v", what, i, len(got), g, w)
		}
	}
}

func TestElementwise(t *testing.T) {
	each(t, func(t *testing.T, _ loops) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, n := range lengths {
			a, b, dst := random(r, n, 5), random(r, n, 5), make([]float32, n)
			f64 := func(x []float32, i int) float64 { return float64(x[i]) }
			Add(dst, a, b)
			within(t, "add", dst, func(i int) float64 { return f64(a, i) + f64(b, i) }, 1e-7, 1e-6)
			Mul(dst, a, b)
			within(t, "mul", dst, func(i int) float64 { return f64(a, i) * f64(b, i) }, 1e-7, 0)
			Scale(dst, a, 0.3)
			within(t, "scale", dst, func(i int) float64 { return f64(a, i) * float64(float32(0.3)) }, 1e-7, 0)
			ScaleMul(dst, a, b, 0.3)
			within(t, "scaleMul", dst, func(i int) float64 { return f64(a, i) * f64(b, i) * float64(float32(0.3)) }, 2e-7, 0)
			SiLUMul(dst, a, b)
			within(t, "silu", dst, func(i int) float64 { return f64(a, i) * Sigmoid(f64(a, i)) * f64(b, i) }, 1e-6, 1e-30)
			GELUMul(dst, a, b)
			within(t, "gelu", dst, func(i int) float64 { return GELU(f64(a, i)) * f64(b, i) }, 1e-5, 1e-12)
			GELUErfs(dst, a)
			within(t, "geluErf", dst, func(i int) float64 { return GELUErf(f64(a, i)) }, 2e-6, 1e-12)
			TanhCap(dst, a, 30)
			within(t, "tanhCap", dst, func(i int) float64 { return 30 * math.Tanh(f64(a, i)/30) }, 1e-6, 0)
			sum, top := 0.0, math.Inf(-1)
			for _, v := range a {
				sum += float64(v) * float64(v)
				top = max(top, float64(v))
			}
			within(t, "sumSq", []float32{SumSq(a)}, func(int) float64 { return sum }, 1e-6, 0)
			if got := Max(a); float64(got) != top {
				t.Fatalf("max of %d is %v, want %v", n, got, top)
			}
			total := 0.0
			for _, v := range a {
				total += math.Exp(float64(v) - 1)
			}
			within(t, "expSum", []float32{ExpSum(dst, a, 1)}, func(int) float64 { return total }, 1e-6, 0)
			within(t, "exp", dst, func(i int) float64 { return math.Exp(f64(a, i) - 1) }, 1e-6, 0)
		}
	})
}

// TestGELUErf walks through all sizes of number: small ones, the far ends, and
// what is none.
func TestGELUErf(t *testing.T) {
	each(t, func(t *testing.T, _ loops) {
		x, dst := make([]float32, 1<<16), make([]float32, 1<<16)
		for i := range x {
			x[i] = 13 * (float32(i)/(1<<15) - 1)
		}
		GELUErfs(dst, x)
		within(t, "geluErf", dst, func(i int) float64 { return GELUErf(float64(x[i])) }, 1e-5, 1e-36)
		for i, v := range []float32{0, 1e-30, -1e-30, 100, -100, 1e30, -1e30, float32(math.Inf(1)), float32(math.NaN())} {
			x, want := []float32{15: v}, float64(v)
			if v < 0 {
				want = 0
			}
			if i == 1 || i == 2 {
				want = float64(v) / 2
			}
			for i := range x {
				x[i] = v
			}
			GELUErfs(x, x)
			if got := float64(x[0]); math.Abs(got-want) > 1e-6*math.Abs(want) || (got != got) != (want != want) {
				t.Errorf("gelu(%v) = %v, want %v", v, got, want)
			}
		}
	})
}

// TestExp walks through all sizes of number that a softmax meets.
func TestExp(t *testing.T) {
	each(t, func(t *testing.T, _ loops) {
		x, dst := make([]float32, 1<<16), make([]float32, 1<<16)
		for i := range x {
			x[i] = -87.3 * float32(i) / float32(len(x))
		}
		ExpSum(dst, x, 0)
		within(t, "exp", dst, func(i int) float64 { return math.Exp(float64(x[i])) }, 1e-6, 0)
		odd := random(rand.New(rand.NewPCG(1, 1)), 32, 1)
		odd[3], odd[5], odd[31] = float32(math.Inf(-1)), -1000, float32(math.NaN())
		got := make([]float32, 32)
		ExpSum(got, odd, 0)
		if got[3] != 0 || got[5] != 0 || got[31] == got[31] {
			t.Errorf("exp of -Inf, -1000, NaN = %v, %v, %v", got[3], got[5], got[31])
		}
		for i, v := range []float32{-200, -100, -89, -20, 20, 89, 100, 200} { // far ends of the sigmoid
			x := make([]float32, 16)
			one := make([]float32, 16)
			for i := range x {
				x[i], one[i] = v, 1
			}
			SiLUMul(x, x, one)
			if want := float64(v) * Sigmoid(float64(v)); math.Abs(float64(x[i])-want) > 1e-6*math.Abs(want)+1e-30 {
				t.Errorf("silu(%v) = %v, want %v", v, x[i], want)
			}
		}
	})
}

func TestMaxPassesNaN(t *testing.T) {
	each(t, func(t *testing.T, _ loops) {
		x := make([]float32, 100)
		for i := range x {
			x[i] = -5
		}
		for i := 0; i < 100; i += 7 {
			x[i] = float32(math.NaN())
		}
		x[64] = -2
		if got := Max(x); got != -2 {
			t.Errorf("max = %v, want -2", got)
		}
	})
}

func TestTurn(t *testing.T) {
	each(t, func(t *testing.T, _ loops) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, half := range []int{1, 5, 8, 16, 20, 32, 64, 128} {
			x, cos, sin := random(r, 2*half, 1), random(r, half, 1), random(r, half, 1)
			got := make([]float32, 2*half)
			pair := func(a, b, i int) (float64, float64) {
				x, y, c, s := float64(x[a]), float64(x[b]), float64(cos[i]), float64(sin[i])
				return x*c - y*s, x*s + y*c
			}
			Turn(got, x, cos, sin)
			within(t, "turn", got, func(i int) float64 {
				u, v := pair(i&^1, i|1, i/2)
				return []float64{u, v}[i&1]
			}, 1e-6, 1e-6)
			TurnHalf(got, x, cos, sin)
			within(t, "turnHalf", got, func(i int) float64 {
				u, v := pair(i%half, i%half+half, i%half)
				return []float64{u, v}[i/half]
			}, 1e-6, 1e-6)
			own := append([]float32(nil), x...)
			TurnHalf(own, own, cos, sin)
			within(t, "turnHalf in place", own, func(i int) float64 { return float64(got[i]) }, 0, 0)
		}
	})
}

func TestConversions(t *testing.T) {
	each(t, func(t *testing.T, _ loops) {
		all := make([]uint16, 1<<16)
		for i := range all {
			all[i] = uint16(i)
		}
		x := make([]float32, len(all))
		FromHalf(x, all)
		within(t, "fromHalf", x, func(i int) float64 { return float64(tensor.HalfToFloat(all[i])) }, 0, 0)
		r := rand.New(rand.NewPCG(5, 6))
		for i := range x {
			x[i] = math.Float32frombits(r.Uint32())
		}
		ToHalf(all, x)
		for i, h := range all {
			if want := tensor.FloatToHalf(x[i]); h != want && x[i] == x[i] {
				t.Fatalf("toHalf(%v) = %#x, want %#x", x[i], h, want)
			}
		}
		src, got, want := make([]byte, 34*5), make([]float32, 160), make([]float32, 160)
		tensor.Q8_0.Encode(src, random(r, 160, 3))
		FromQ8(got, src)
		tensor.Q8_0.Decode(want, src)
		within(t, "fromQ8", got, func(i int) float64 { return float64(want[i]) }, 0, 0)
	})
}

func TestGemmAndScores(t *testing.T) {
	each(t, func(t *testing.T, _ loops) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, m := range []int{1, 2, 3, 4, 7, 9, 24} {
			for _, n := range []int{1, 16, 31, 32, 64, 80} {
				k := 1 + r.IntN(70)
				a, b, c := random(r, m*k, 1), random(r, k*(n+3), 1), random(r, m*(n+5), 1)
				h := make([]uint16, len(b))
				ToHalf(h, b)
				for _, flags := range []int{0, 1, 2, 3} {
					add, half := flags&1 == 1, flags&2 == 2
					rowA, colA := k, 1
					if flags%2 == 1 {
						rowA, colA = 1, m
					}
					got := append([]float32(nil), c...)
					if half {
						Gemm16(got, n+5, a, rowA, colA, h, n+3, m, n, k, add)
					} else {
						Gemm(got, n+5, a, rowA, colA, b, n+3, m, n, k, add)
					}
					within(t, fmt.Sprintf("gemm %d %d %d", m, n, k), got, func(i int) float64 {
						row, col := i/(n+5), i%(n+5)
						if col >= n {
							return float64(c[i])
						}
						sum := 0.0
						if add {
							sum = float64(c[i])
						}
						for l := range k {
							v := b[l*(n+3)+col]
							if half {
								v = tensor.HalfToFloat(h[l*(n+3)+col])
							}
							sum += float64(a[row*rowA+l*colA]) * float64(v)
						}
						return sum
					}, 1e-5, 1e-5)
				}
			}
		}
		for heads := range 10 {
			for _, dim := range []int{16, 24, 64, 80} {
				keys := 1 + r.IntN(9)
				q, k := random(r, heads*dim, 1), random(r, keys*(dim+8), 1)
				h := make([]uint16, len(k))
				ToHalf(h, k)
				FromHalf(k, h)
				got, got16 := make([]float32, heads*12), make([]float32, heads*12)
				Scores(got, 12, q, heads, dim, k, dim+8, keys)
				Scores16(got16, 12, q, heads, dim, h, dim+8, keys)
				for _, g := range [][]float32{got, got16} {
					within(t, "scores", g, func(i int) float64 {
						if i%12 >= keys {
							return 0
						}
						sum := 0.0
						for l := range dim {
							sum += float64(q[i/12*dim+l]) * float64(k[i%12*(dim+8)+l])
						}
						return sum
					}, 1e-5, 1e-5)
				}
			}
		}
	})
}

// TestSoften feeds rows bit by bit, with whole blocks masked, and compares
// with a softmax of everything.
func TestSoften(t *testing.T) {
	each(t, func(t *testing.T, _ loops) {
		const n, keys, scale = 32, 40, 0.7
		r := rand.New(rand.NewPCG(9, 1))
		s := random(r, n*keys, 20)
		for i := range 10 { // the first block of column 3 and all but one of 7 see nothing
			s[i*n+3] = float32(math.Inf(-1))
		}
		for i := range keys - 1 {
			s[i*n+7] = float32(math.Inf(-1))
		}
		got := append([]float32(nil), s...)
		top, sum, factor := make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range top {
			top[i] = float32(math.Inf(-1))
		}
		for lo := 0; lo < keys; lo += 10 {
			Soften(got[lo*n:(lo+10)*n], 10, n, scale, top, sum, factor)
			for i := range got[:lo*n] {
				got[i] *= factor[i%n]
			}
		}
		for i := range got {
			got[i] /= sum[i%n]
		}
		within(t, "softmax", got, func(i int) float64 {
			top, sum := math.Inf(-1), 0.0
			for k := range keys {
				top = max(top, float64(s[k*n+i%n]))
			}
			for k := range keys {
				sum += math.Exp(scale * (float64(s[k*n+i%n]) - top))
			}
			return math.Exp(scale*(float64(s[i])-top)) / sum
		}, 1e-5, 1e-30)
	})
}
