package lora

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor/cpu/vec"
)

// factors are A and B so that the change of the weight, as it lies, is
// left (rows, rank) · right (rank, cols).
type factors struct {
	left, right      []float32
	rows, cols, rank int
}

func (d *Delta) factors() (*factors, error) {
	a, err := Floats(d.A)
	if err != nil {
		return nil, err
	}
	b, err := Floats(d.B)
	if err != nil {
		return nil, err
	}
	f := &factors{left: b, right: a, rows: d.Out(), cols: d.In(), rank: d.Rank()}
	if d.Embeds() { // a is (vocab, rank), b is (dim, rank)
		f.left, f.rows, f.cols = a, d.In(), d.Out()
		f.right = make([]float32, len(b))
		for i := range f.cols {
			for j := range f.rank {
				f.right[j*f.cols+i] = b[i*f.rank+j]
			}
		}
	}
	return f, nil
}

// change sets dst (n, cols) to B·A of n rows from row on.
func (f *factors) change(dst []float32, row int) {
	n := len(dst) / f.cols
	vec.Gemm(dst, f.cols, f.left[row*f.rank:], f.rank, 1, f.right, f.cols, n, f.cols, f.rank, false)
}

// Lengths are what the lengths of the rows of W + s·B·A follow from, for any s:
// ‖W‖², W·(B·A) and ‖B·A‖² of each row, of the embedding of each column.
type Lengths struct{ square, cross, change []float64 }

// Lengths reads the base's weight, which d changes, once.
func (d *Delta) Lengths(ctx context.Context, w *gguf.Tensor) (*Lengths, error) {
	f, err := d.factors()
	if err != nil {
		return nil, err
	}
	n := d.Out()
	l := &Lengths{make([]float64, n), make([]float64, n), make([]float64, n)}
	const piece = 256 << 10 // numbers
	step := max(1, piece/f.cols)
	var mu sync.Mutex
	err = inPieces(f.rows, step, func(lo, hi int) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rows, err := floatRows(w, lo, hi)
		if err != nil {
			return err
		}
		ba := make([]float32, len(rows))
		f.change(ba, lo)
		if !d.Embeds() {
			for i := lo; i < hi; i++ {
				l.add(i, rows[(i-lo)*f.cols:][:f.cols], ba[(i-lo)*f.cols:])
			}
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range rows {
			l.add(i%f.cols, rows[i:i+1], ba[i:])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lora: %s: %w", d.Name, err)
	}
	return l, nil
}

func (l *Lengths) add(i int, w, change []float32) {
	var a, b, c float64
	for j, x := range w {
		y := float64(change[j])
		a += float64(x) * float64(x)
		b += float64(x) * y
		c += y * y
	}
	l.square[i] += a
	l.cross[i] += b
	l.change[i] += c
}

// Gains are magnitude/‖W + s·B·A‖, what each row is multiplied by.
func (l *Lengths) Gains(magnitude []float32, s float32) ([]float32, error) {
	g := make([]float32, len(magnitude))
	for i, m := range magnitude {
		s := float64(s)
		g[i] = float32(float64(m) / math.Sqrt(l.square[i]+2*s*l.cross[i]+s*s*l.change[i]))
		if !finite(g[i]) {
			return nil, fmt.Errorf("lora: row %d of the changed weight has length 0 or is not finite", i)
		}
	}
	return g, nil
}

// floatRows reads the rows [lo, hi) of a tensor.
func floatRows(t *gguf.Tensor, lo, hi int) ([]float32, error) {
	data := make([]byte, (hi-lo)*t.RowBytes())
	if err := t.Read(data, lo); err != nil {
		return nil, err
	}
	f := make([]float32, (hi-lo)*t.Shape[len(t.Shape)-1])
	t.DType.Decode(f, data)
	return f, nil
}

// inPieces calls run for pieces of n rows on all processors until one fails.
func inPieces(n, step int, run func(lo, hi int) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		at    int
		first error
	)
	next := func(err error) (lo, hi int) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
		if first != nil {
			return 0, 0
		}
		lo, hi = at, min(n, at+step)
		at = hi
		return lo, hi
	}
	for range min(runtime.GOMAXPROCS(0), (n+step-1)/step) {
		wg.Go(func() {
			var err error
			for lo, hi := next(nil); lo < hi; lo, hi = next(err) {
				err = run(lo, hi)
			}
		})
	}
	wg.Wait()
	return first
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }
