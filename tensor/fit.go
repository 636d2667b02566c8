package tensor

// Encoders that search. A block is made for the least Σ w·(x − y)², where y is
// what the block decodes to and w says how much each number counts: ones, or
// what an importance matrix knows.
//
// With the levels (the small integers of single numbers) given, this sum is a
// quadratic function of the scales, so a handful of sums over a group says how
// good any scale is. So each search goes the same way: round a group at several
// real scales, solve for the best scale of these levels, keep the best of all.
// Formats with scales of scales (q2_k … q6_k) then round the scales of a
// superblock to integers, those that the sums say are best, round the numbers
// anew, solve for the superblock's factors, and try again with them.

// attempts is how often factors are tried: a fourth rarely finds anything.
const attempts = 3

// noise is how exact the errors are that sums in float32 give, as a part of
// Σwx². Of scales that are as good, every group takes the one that was tried
// first, so that groups of like numbers get like scales.
const noise = 1e-6

// sums are weighted sums over a group of numbers x and their levels q.
type sums struct {
	w, x, xx  float32 // Σw, Σwx, Σwx²
	q, qq, xq float32 // Σwq, Σwq², Σwxq
}

// error is Σ w·(x − a·q + b)².
func (s *sums) error(a, b float32) float64 {
	p, r := float64(a), float64(b)
	return float64(s.xx) + p*(p*float64(s.qq)-2*float64(s.xq)) + r*(r*float64(s.w)+2*(float64(s.x)-p*float64(s.q)))
}

// solve finds the a and b with the least error; b is not negative unless
// signed.
func (s *sums) solve(signed bool) (a, b float32) {
	w, x, q, qq, xq := float64(s.w), float64(s.x), float64(s.q), float64(s.qq), float64(s.xq)
	// Where all levels are one, what is left is noise.
	if det := w*qq - q*q; det > 1e-5*w*qq {
		p, r := (w*xq-x*q)/det, (q*xq-qq*x)/det
		if r >= 0 || signed {
			return float32(p), float32(r)
		}
	}
	if qq == 0 {
		return 0, 0
	}
	return float32(xq / qq), 0
}

// toEven rounds to the nearest integer, halves to the even one, numbers up to
// 2²²: there, float32 has no more fraction.
func toEven(v float32) float32 {
	const shift = 3 << 22
	return (v + shift) - shift
}

// clip is v, at least lo and at most hi. (The built-in min and max look for NaN
// and signed zeros, and take three times as long.)
func clip(v, lo, hi float32) float32 {
	if v > hi {
		v = hi
	}
	if v < lo {
		v = lo
	}
	return v
}

// ones are the weights where all numbers count alike.
var ones = func() *[superLen]float32 {
	var w [superLen]float32
	for i := range w {
		w[i] = 1
	}
	return &w
}()

// first are the first n weights; nil counts all numbers alike.
func first(w []float32, n int) []float32 {
	if w == nil {
		return ones[:n]
	}
	return w[:n]
}

// after are the weights behind the first n.
func after(w []float32, n int) []float32 {
	if w == nil {
		return nil
	}
	return w[n:]
}
