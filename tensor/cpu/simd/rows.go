package simd

import "github.com/llcuda/llcuda/tensor"

// rowsBytes is how much of the weights stays in the first cache while a few
// rows of activations pass by.
const rowsBytes = 12 << 10

// mulRows multiplies by a few rows of activations, where the bound is the
// memory that the weights come from: they are read once, where they lie. Rows
// of weights go by in spans that stay in the cache until all activations have
// seen them.
func (k *Kernel) mulRows(a *args) {
	if k.dot == nil {
		k.mulDecoded(a)
		return
	}
	xrow := k.form.rowBytes(a.cols)
	blocks := a.row / k.dtype.BlockBytes()
	span := a.rows
	if a.n > k.dot[0].n || a.n == 3 {
		span = max(1, rowsBytes/a.row)
	}
	for j := 0; j < a.rows; j += span {
		rows := min(span, a.rows-j)
		k.visit(k.dot, a.n, func(do dotFunc, i, step int) {
			do(&a.dst[i*a.ldd+j], 4*a.ldd*step, &a.w[j*a.row], rows, &a.x[i*xrow], xrow*step, blocks)
		})
	}
}

// visit hands all n rows of activations to routines for several at once, from
// row i on, with step 1. Step 0 is row i alone, several times.
//
// Routines differ in the order of their sums. Of rows that are alike all go
// through one; those for two and four integers have one order, too.
func (k *Kernel) visit(c columns[dotFunc], n int, visit func(do dotFunc, i, step int)) {
	i := 0
	if k.alike != tensor.AlikeFew && k.alike != tensor.AlikeSome {
		for _, f := range c {
			for ; i+f.n <= n; i += f.n {
				visit(f.do, i, 1)
			}
		}
		return
	}
	four, rest := c[0], c[0]
	for ; i+four.n <= n; i += four.n {
		visit(four.do, i, 1)
	}
	if k.form == FormInt {
		for rest = c[1]; i+rest.n <= n; i += rest.n {
			visit(rest.do, i, 1)
		}
	} else if i < n && n > four.n {
		visit(four.do, n-four.n, 1) // some rows again
		return
	}
	for ; i < n; i++ {
		visit(rest.do, i, 0)
	}
}

// mulDecoded brings one row of weights after the other to float32.
func (k *Kernel) mulDecoded(a *args) {
	xrow := FormFloat.rowBytes(a.cols)
	w := floatsOf(a.scratch, a.cols)
	for j := range a.rows {
		k.dtype.Decode(w, a.w[j*a.row:(j+1)*a.row])
		if k.set.dot == nil {
			for i := range a.n {
				a.dst[i*a.ldd+j] = dot(floatsOf(a.x[i*xrow:], a.cols), w)
			}
			continue
		}
		k.visit(k.set.dot, a.n, func(do dotFunc, i, step int) {
			do(&a.dst[i*a.ldd+j], 4*a.ldd*step, &a.scratch[0], 1, &a.x[i*xrow], xrow*step, a.cols)
		})
	}
}

// dot is the sum of x·y in eight float32 sums.
func dot(x, y []float32) float32 {
	var s [8]float32
	y = y[:len(x)]
	for len(x) >= 8 {
		a, b := (*[8]float32)(x), (*[8]float32)(y)
		for i := range s {
			s[i] += a[i] * b[i]
		}
		x, y = x[8:], y[8:]
	}
	for i := range x {
		s[i] += x[i] * y[i]
	}
	return (s[0] + s[4]) + (s[1] + s[5]) + ((s[2] + s[6]) + (s[3] + s[7]))
}
