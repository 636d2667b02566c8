package tensor

// Encoders of the formats with scales of scales (q2_k … q6_k): a superblock
// has one or two half-precision factors, each of its groups a small integer
// scale (and an offset), each number a small integer.
//
// What is made small is the plain sum of squared errors. Both kinds go the
// same way: find good real scales group by group; round them to integers,
// trying their neighbours too; then, with all integers known, compute the best
// factors and try again with them. The best attempt counts.

// attempts is how often factors are tried: a fourth rarely finds anything.
const attempts = 3

// A symmetric format has x = d·s·q with s and q of either sign.
type symmetric struct {
	group      int // numbers that share s
	minQ, maxQ int
	minS, maxS int
}

// encode finds d and fills s, one a group, and q, one a number.
func (f symmetric) encode(x []float32, s, q []int8) (d uint16) {
	var real [superLen / 16]float32
	n := len(x) / f.group
	for g := range n {
		real[g] = f.fit(x[g*f.group : (g+1)*f.group])
	}
	clear(s)
	clear(q)
	least := float32(-1)
	try := FloatToHalf(largest(real[:n]) / float32(f.minS))
	var trySBuf [superLen / 16]int8
	var tryQ [superLen]int8
	tryS := trySBuf[:n]
	for range attempts {
		df := HalfToFloat(try)
		if df == 0 {
			break
		}
		var sum, xy, yy float32
		for g := range n {
			part := x[g*f.group : (g+1)*f.group]
			tryS[g] = f.best(part, df, away(real[g]/df))
			scale := float32(tryS[g])
			inv := inverse(df * scale)
			for i, v := range part {
				r := f.round(v * inv)
				tryQ[g*f.group+i] = int8(r)
				y := scale * float32(r)
				e := v - df*y
				sum, xy, yy = sum+e*e, xy+v*y, yy+y*y
			}
		}
		if least < 0 || sum < least {
			d, least = try, sum
			copy(s, tryS)
			copy(q, tryQ[:])
		}
		if yy == 0 {
			break
		}
		try = FloatToHalf(xy / yy)
	}
	return d
}

func (f symmetric) round(v float32) int { return min(max(even(v), f.minQ), f.maxQ) }

// fit is the real scale with the least error among those that put the largest
// number on, or a little beside, the lowest level.
func (f symmetric) fit(x []float32) float32 {
	most := largest(x)
	if most == 0 {
		return 0
	}
	var scale, gain float32
	for k := -9; k <= 9; k++ {
		inv := (float32(f.minQ) + 0.1*float32(k)) / most
		var xq, qq float32
		for _, v := range x {
			q := float32(f.round(v * inv))
			xq += v * q
			qq += q * q
		}
		// Σ(x − d·q)² is least at d = Σxq/Σq², and then Σx² − (Σxq)²/Σq².
		if qq > 0 && xq*xq > gain*qq {
			scale, gain = xq/qq, xq*xq/qq
		}
	}
	return scale
}

// best is the integer scale of a group, of those around s, with the least error.
func (f symmetric) best(x []float32, d float32, s int) int8 {
	best, least := 0, float32(-1)
	for c := max(s-1, f.minS); c <= min(s+1, f.maxS); c++ {
		scale := d * float32(c)
		inv := inverse(scale)
		var sum float32
		for _, v := range x {
			e := v - scale*float32(f.round(v*inv))
			sum += e * e
		}
		if least < 0 || sum < least {
			best, least = c, sum
		}
	}
	return int8(best)
}

// An affine format has x = d·s·q − m·o with s, q and o not negative.
type affine struct {
	group int // numbers that share s and o
	maxQ  int
	maxS  int // the largest s and o
}

// encode finds d and m and fills s and o, one a group, and q, one a number.
func (f affine) encode(x []float32, s, o, q []uint8) (d, m uint16) {
	var scale, offset [superLen / 16]float32
	n := len(x) / f.group
	for g := range n {
		scale[g], offset[g] = f.fit(x[g*f.group : (g+1)*f.group])
	}
	_, mostScale := ends(scale[:n])
	_, mostOffset := ends(offset[:n])
	clear(s)
	clear(o)
	clear(q)
	tryD, tryM := FloatToHalf(mostScale/float32(f.maxS)), FloatToHalf(mostOffset/float32(f.maxS))
	var sBuf, oBuf [superLen / 16]uint8
	var tryQ [superLen]uint8
	tryS, tryO := sBuf[:n], oBuf[:n]
	least := float32(-1)
	for range attempts {
		df, mf := HalfToFloat(tryD), HalfToFloat(tryM)
		var sum float32
		for g := range n {
			part := x[g*f.group : (g+1)*f.group]
			var err float32
			tryS[g], tryO[g], err = f.best(part, df, mf, scale[g], offset[g])
			sum += err
			a, b := df*float32(tryS[g]), mf*float32(tryO[g])
			inv := inverse(a)
			for i, v := range part {
				tryQ[g*f.group+i] = f.round((v + b) * inv)
			}
		}
		if least < 0 || sum < least {
			d, m, least = tryD, tryM, sum
			copy(s, tryS)
			copy(o, tryO)
			copy(q, tryQ[:])
		}
		tryD, tryM = f.factors(x, tryS, tryO, tryQ[:], tryD, tryM)
	}
	return d, m
}

func (f affine) round(v float32) uint8 { return level(v+0.5, int32(f.maxQ)) }

// fit is the real scale and offset with the least error among some that
// spread the levels over the numbers, and a little less or more.
func (f affine) fit(x []float32) (scale, offset float32) {
	lo, hi := ends(x)
	if lo = min(lo, 0); hi == lo {
		return 0, -lo
	}
	least := float32(-1)
	for k := range 24 {
		inv := (float32(f.maxQ) - 1 + 0.1*float32(k)) / (hi - lo)
		a, b := f.solve(x, inv, -lo*inv)
		var sum float32
		for _, v := range x {
			e := v - a*float32(f.round((v-lo)*inv)) + b
			sum += e * e
		}
		if a > 0 && (least < 0 || sum < least) {
			scale, offset, least = a, b, sum
		}
	}
	// Rounding again at the solution can only make the error smaller.
	for range 3 {
		scale, offset = f.solve(x, inverse(scale), offset*inverse(scale))
	}
	return scale, offset
}

// solve rounds v·inv + shift to levels q, and finds a and b ≥ 0 of x ≈ a·q − b
// by least squares.
func (f affine) solve(x []float32, inv, shift float32) (a, b float32) {
	var sx, sq, sqq, sxq float32
	n := float32(len(x))
	for _, v := range x {
		q := float32(f.round(v*inv + shift))
		sx += v
		sq += q
		sqq += q * q
		sxq += q * v
	}
	if det := n*sqq - sq*sq; det > 0 {
		a, b = (n*sxq-sx*sq)/det, (sq*sxq-sqq*sx)/det
		if b >= 0 {
			return a, b
		}
	}
	if sqq == 0 {
		return 0, 0
	}
	return sxq / sqq, 0
}

// best are the integers of a group, around those of a real scale and offset,
// with the least error, and this error.
func (f affine) best(x []float32, d, m, scale, offset float32) (s, o uint8, least float32) {
	least = -1
	for _, cs := range f.around(scale, d) {
		for _, co := range f.around(offset, m) {
			a, b := d*float32(cs), m*float32(co)
			inv := inverse(a)
			var sum float32
			for _, v := range x {
				e := v + b - a*float32(f.round((v+b)*inv))
				sum += e * e
			}
			if least < 0 || sum < least {
				s, o, least = cs, co, sum
			}
		}
	}
	return s, o, least
}

// around are the integers nearest to v/unit.
func (f affine) around(v, unit float32) (near [3]uint8) {
	mid := min(max(away(v*inverse(unit)), 0), f.maxS)
	for i := range near {
		near[i] = uint8(min(max(mid+i-1, 0), f.maxS))
	}
	return near
}

// factors are d and m by least squares when all integers are given, or those
// there were when the equations have no good solution.
func (f affine) factors(x []float32, s, o, q []uint8, d, m uint16) (uint16, uint16) {
	var aa, ab, bb, xa, xb float64
	for i, v := range x {
		a, b := float64(s[i/f.group])*float64(q[i]), float64(o[i/f.group])
		aa, ab, bb = aa+a*a, ab+a*b, bb+b*b
		xa, xb = xa+float64(v)*a, xb+float64(v)*b
	}
	if bb == 0 && aa > 0 && xa > 0 {
		return FloatToHalf(float32(xa / aa)), m
	}
	det := aa*bb - ab*ab
	df, mf := (xa*bb-xb*ab)/det, (xa*ab-xb*aa)/det
	if !(det > 0 && df > 0 && mf > 0) {
		return d, m
	}
	return FloatToHalf(float32(df)), FloatToHalf(float32(mf))
}
