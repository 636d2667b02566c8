package tensor

// A symmetric format has x = d·s·q with s and q of either sign.
type symmetric struct {
	group      int // numbers that share s
	minQ, maxQ int
	minS, maxS int

	// Real scales that are tried: those that put the largest number on minQ +
	// from to minQ + to, in so many steps.
	from, to float32
	steps    int
}

// encode finds d and fills s, one a group, and q, one a number.
func (f *symmetric) encode(x, w []float32, s, q []int8) (d uint16) {
	var all [superLen / 16]sums
	var realBuf [superLen / 16]float32
	n := len(x) / f.group
	groups, real := all[:n], realBuf[:n]
	for g := range groups {
		real[g] = f.fit(x[g*f.group:(g+1)*f.group], w[g*f.group:(g+1)*f.group], &groups[g])
	}
	clear(s)
	clear(q)
	least := float32(-1)
	try := FloatToHalf(largest(real) / float32(f.minS))
	var trySBuf [superLen / 16]int8
	var tryQ [superLen]int8
	tryS := trySBuf[:n]
	for range attempts {
		df := HalfToFloat(try)
		if df == 0 {
			break
		}
		var sum float32
		var xy, yy float64
		for g := range groups {
			lo, hi := g*f.group, (g+1)*f.group
			t := &groups[g]
			c := min(max(int(toEven(t.xq*inverse(t.qq*df))), f.minS), f.maxS)
			sum += f.levels(x[lo:hi], w[lo:hi], tryQ[lo:hi], df*float32(c), t)
			tryS[g] = int8(c)
			xy += float64(c) * float64(t.xq)
			yy += float64(c*c) * float64(t.qq)
		}
		if least < 0 || sum < least {
			d, least = try, sum
			copy(s, tryS)
			copy(q, tryQ[:])
		}
		if yy == 0 {
			break
		}
		next := FloatToHalf(float32(xy / yy))
		if next == try {
			break
		}
		try = next
	}
	return d
}

// alone finds the scale of a block that is one group, and fills q.
func (f *symmetric) alone(x, w []float32, q *[32]int8) uint16 {
	var s sums
	d := FloatToHalf(f.fit(x, w, &s))
	f.levels(x, w, q[:], HalfToFloat(d), &s)
	return d
}

// fit is the real scale with the least error that was found; the sums are left
// at its levels.
func (f *symmetric) fit(x, w []float32, s *sums) (scale float32) {
	most := largest(x)
	if most == 0 {
		return 0
	}
	var gain, xx float32
	w = w[:len(x)]
	for i, v := range x {
		xx += w[i] * (v * v)
	}
	tie := noise * xx
	at, bottom, top := [2]float32{}, float32(f.minQ), float32(f.maxQ)
	attempt := func(inv float32) {
		symmetricSums(x, w, inv, bottom, top, &at)
		qq, xq := at[0], at[1]
		// Σw(x − d·q)² is least at d = Σwxq/Σwq², and then Σwx² − (Σwxq)²/Σwq².
		if qq > 0 && xq*xq > (gain+tie)*qq {
			scale, gain = xq/qq, xq*xq/qq
			s.qq, s.xq = qq, xq
		}
	}
	for k := range f.steps {
		attempt((float32(f.minQ) + f.from + (f.to-f.from)*float32(k)/float32(f.steps-1)) / most)
	}
	// Rounding again at the solution can only make the error smaller.
	for before := float32(0); scale != before; {
		before = scale
		attempt(inverse(scale))
	}
	return scale
}

// levels rounds a group at a given scale, sets the sums of these levels, and
// returns their error.
func (f *symmetric) levels(x, w []float32, levels []int8, a float32, s *sums) (e float32) {
	bottom, top := float32(f.minQ), float32(f.maxQ)
	inv := inverse(a)
	w, levels = w[:len(x)], levels[:len(x)]
	var qq, xq float32
	for i, v := range x {
		q := clip(toEven(v*inv), bottom, top)
		levels[i] = int8(int32(q))
		wq := w[i] * q
		qq += wq * q
		xq += wq * v
		r := v - a*q
		e += w[i] * (r * r)
	}
	s.qq, s.xq = qq, xq
	return e
}
