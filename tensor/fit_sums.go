package tensor

// The sums that a search takes at each scale it tries: most of its time. They
// are added in eight lanes, and these in one order, so that blocks are the same
// whether AVX2 does it or Go. Groups are whole multiples of eight.

// affineSums are Σwq, Σwq² and Σwxq of the levels q = x·inv + shift from 0 to top.
func affineSums(x, w []float32, inv, shift, top float32, sums *[3]float32) {
	w = w[:len(x)]
	if hasAVX2 {
		affineAVX2(&x[0], &w[0], len(x), inv, shift, top, sums)
		return
	}
	affineGo(x, w, inv, shift, top, sums)
}

func affineGo(x, w []float32, inv, shift, top float32, sums *[3]float32) {
	var lanes [3][8]float32
	for l := range 8 {
		var sq, sqq, sxq float32
		for i := l; i < len(x); i += 8 {
			v := x[i]
			q := clip(toEven(float32(v*inv)+shift), 0, top)
			wq := w[i] * q
			sq += wq
			sqq += float32(wq * q)
			sxq += float32(wq * v)
		}
		lanes[0][l], lanes[1][l], lanes[2][l] = sq, sqq, sxq
	}
	for i := range sums {
		sums[i] = together(&lanes[i])
	}
}

// symmetricSums are Σwq² and Σwxq of the levels q = x·inv from bottom to top.
func symmetricSums(x, w []float32, inv, bottom, top float32, sums *[2]float32) {
	w = w[:len(x)]
	if hasAVX2 {
		symmetricAVX2(&x[0], &w[0], len(x), inv, bottom, top, sums)
		return
	}
	symmetricGo(x, w, inv, bottom, top, sums)
}

func symmetricGo(x, w []float32, inv, bottom, top float32, sums *[2]float32) {
	var lanes [2][8]float32
	for l := range 8 {
		var sqq, sxq float32
		for i := l; i < len(x); i += 8 {
			v := x[i]
			q := clip(toEven(v*inv), bottom, top)
			wq := w[i] * q
			sqq += float32(wq * q)
			sxq += float32(wq * v)
		}
		lanes[0][l], lanes[1][l] = sqq, sxq
	}
	for i := range sums {
		sums[i] = together(&lanes[i])
	}
}

// together adds lanes as vectors are added: halves, quarters, neighbours.
func together(l *[8]float32) float32 {
	return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}
