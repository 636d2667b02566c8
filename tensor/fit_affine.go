package tensor

import "math"

// An affine format has x = d·s·q − m·o with s, q and o not negative.
type affine struct {
	group int // numbers that share s and o
	maxQ  int
	maxS  int // the largest s and o

	// Real scales that are tried: maxQ + from to maxQ + to levels over the range
	// of a group, in so many steps.
	from, to float32
	steps    int

	signed bool // offsets may be negative
}

// encode finds d and m and fills s and o, one a group, and q, one a number.
func (f *affine) encode(x, w []float32, s, o, q []uint8) (d, m uint16) {
	var all [superLen / 16]sums
	n := len(x) / f.group
	groups := all[:n]
	var mostScale, mostOffset float32
	for g := range groups {
		a, b := f.fit(x[g*f.group:(g+1)*f.group], w[g*f.group:(g+1)*f.group], &groups[g])
		mostScale, mostOffset = max(mostScale, a), max(mostOffset, b)
	}
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
		for g := range groups {
			tryS[g], tryO[g] = f.integers(&groups[g], df, mf)
			lo, hi := g*f.group, (g+1)*f.group
			sum += f.levels(x[lo:hi], w[lo:hi], tryQ[lo:hi], df*float32(tryS[g]), mf*float32(tryO[g]), &groups[g])
		}
		if least < 0 || sum < least {
			d, m, least = tryD, tryM, sum
			copy(s, tryS)
			copy(o, tryO)
			copy(q, tryQ[:])
		}
		nextD, nextM := f.factors(groups, tryS, tryO, tryD, tryM)
		if nextD == tryD && nextM == tryM {
			break
		}
		tryD, tryM = nextD, nextM
	}
	return d, m
}

// alone finds the d and m of a block that is one group of numbers d·q + m, and
// fills q.
func (f *affine) alone(x, w []float32, q *[32]uint8) (d, m uint16) {
	var s sums
	scale, offset := f.fit(x, w, &s)
	d, m = FloatToHalf(scale), FloatToHalf(-offset)
	f.levels(x, w, q[:], HalfToFloat(d), -HalfToFloat(m), &s)
	return d, m
}

// fit finds the real scale and offset of a group, and leaves the sums at the
// levels that they belong to.
func (f *affine) fit(x, w []float32, s *sums) (scale, offset float32) {
	lo, hi := x[0], x[0]
	w = w[:len(x)]
	for i, v := range x {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
		wx := w[i] * v
		s.w += w[i]
		s.x += wx
		s.xx += wx * v
	}
	if lo > 0 && !f.signed {
		lo = 0
	}
	if hi == lo {
		return 0, -lo
	}
	least := math.Inf(1)
	tie := noise * float64(s.xx)
	try, at, top := *s, [3]float32{}, float32(f.maxQ)
	attempt := func(inv, shift float32) {
		affineSums(x, w, inv, shift, top, &at)
		try.q, try.qq, try.xq = at[0], at[1], at[2]
		a, b := try.solve(f.signed)
		if e := try.error(a, b); a > 0 && e < least-tie {
			*s, scale, offset, least = try, a, b, e
		}
	}
	for k := range f.steps {
		inv := (float32(f.maxQ) + f.from + (f.to-f.from)*float32(k)/float32(f.steps-1)) / (hi - lo)
		attempt(inv, -lo*inv)
	}
	// Rounding again at the solution can only make the error smaller.
	for before := float32(0); scale != before; {
		before = scale
		inv := inverse(scale)
		attempt(inv, offset*inv)
	}
	return scale, offset
}

// integers are the s and o with the least error at the group's levels.
func (f *affine) integers(g *sums, d, m float32) (s, o uint8) {
	a, _ := g.solve(f.signed)
	mid := min(max(int(toEven(min(a*inverse(d), 1<<20))), 0), f.maxS)
	least := math.Inf(1)
	for c := max(mid-1, 0); c <= min(mid+1, f.maxS); c++ {
		a := d * float32(c)
		b := (a*g.q - g.x) * inverse(g.w) // the best for this scale
		co := min(max(int(toEven(min(b*inverse(m), 1<<20))), 0), f.maxS)
		if e := g.error(a, m*float32(co)); e < least {
			s, o, least = uint8(c), uint8(co), e
		}
	}
	return s, o
}

// levels rounds a group at a given scale and offset, sets the sums of these
// levels, and returns their error.
func (f *affine) levels(x, w []float32, levels []uint8, a, b float32, s *sums) (e float32) {
	top := float32(f.maxQ)
	inv := inverse(a)
	w, levels = w[:len(x)], levels[:len(x)]
	var sq, sqq, sxq float32
	for i, v := range x {
		q := clip(toEven((v+b)*inv), 0, top)
		levels[i] = uint8(int32(q))
		wq := w[i] * q
		sq += wq
		sqq += wq * q
		sxq += wq * v
		r := (v + b) - a*q
		e += w[i] * (r * r)
	}
	s.q, s.qq, s.xq = sq, sqq, sxq
	return e
}

// factors are d and m by least squares when all integers are given, or those
// there were when the equations have no good solution.
func (f *affine) factors(groups []sums, s, o []uint8, d, m uint16) (uint16, uint16) {
	var aa, ab, bb, xa, xb float64
	for g := range groups {
		t, a, b := &groups[g], float64(s[g]), float64(o[g])
		aa += a * a * float64(t.qq)
		ab += a * b * float64(t.q)
		bb += b * b * float64(t.w)
		xa += a * float64(t.xq)
		xb += b * float64(t.x)
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
