package simd

// mulFloats decodes one row after the other.
func (k *Kernel) mulFloats(a *args) {
	w := floatsOf(a.scratch, a.cols)
	x := floatsOf(a.x, a.n*a.cols)
	for j := range a.rows {
		k.dtype.Decode(w, a.w[j*a.row:(j+1)*a.row])
		for i := range a.n {
			a.dst[i*a.ldd+j] = dot(x[i*a.cols:(i+1)*a.cols], w)
		}
	}
}
