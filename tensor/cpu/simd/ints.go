package simd

// mulInts multiplies by a few rows of activations, where the bound is the
// memory that the weights come from. Rows of weights go by in spans that stay
// in the first cache until all activations have seen them.
func (k *Kernel) mulInts(a *args) {
	xrow := FormInt.rowBytes(a.cols)
	blocks := a.row / k.dtype.BlockBytes()
	span := a.rows
	if a.n > 4 || a.n == 3 {
		span = max(1, 12<<10/a.row)
	}
	for j := 0; j < a.rows; j += span {
		rows := min(span, a.rows-j)
		i := 0
		for _, f := range k.ints.dot {
			for ; i+f.n <= a.n; i += f.n {
				f.do(&a.dst[i*a.ldd+j], 4*a.ldd, &a.w[j*a.row], rows, &a.x[i*xrow], xrow, blocks)
			}
		}
	}
}
