package kernels

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// Rows so long that blocks share them, at addresses that are no multiple of 16.
func TestLongRows(t *testing.T) {
	d := emulated(t)
	s, rng := tensor.NewStream(d), rand.New(rand.NewPCG(1, 2))
	for _, cols := range []int{16385, 100_003, 131_072, 1_000_000} {
		numbers := make([]float32, cols)
		for i := range numbers {
			numbers[i] = float32(rng.NormFloat64())
		}
		numbers[cols-1] = 9
		numbers[cols/2] = 9
		numbers[7] = float32(math.NaN()) // for argmax and top_k alone
		space := alloc(t, d, tensor.F32, cols+1)
		x := space.Slice(1, cols+1).Reshape(1, cols)
		write(t, d, x, numbers)
		best, vals, ids := alloc(t, d, tensor.I32, 1), alloc(t, d, tensor.F32, 1, 50), alloc(t, d, tensor.I32, 1, 50)
		s.ArgMax(best, x)
		s.TopK(vals, ids, x)
		numbers[7] = 0.5
		y, sums := alloc(t, d, tensor.F32, 1, cols), map[tensor.Fn]*tensor.Tensor{}
		x2 := alloc(t, d, tensor.F32, 1, cols)
		write(t, d, x2, numbers)
		s.Softmax(y, x2)
		for _, fn := range []tensor.Fn{tensor.Sum, tensor.Mean, tensor.Min, tensor.Max} {
			sums[fn] = alloc(t, d, tensor.F32, 1)
			s.Reduce(sums[fn], x2, fn)
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := read[int32](t, d, best)[0]; int(got) != cols/2 {
			t.Errorf("%d columns: argmax %d, want %d", cols, got, cols/2)
		}
		order := make([]int32, cols)
		for i := range order {
			order[i] = int32(i)
		}
		numbers[7] = float32(math.Inf(-1))
		slices.SortStableFunc(order, func(a, b int32) int {
			switch {
			case numbers[a] > numbers[b]:
				return -1
			case numbers[a] < numbers[b]:
				return 1
			}
			return 0
		})
		if got := read[int32](t, d, ids); !slices.Equal(got, order[:50]) {
			t.Errorf("%d columns: top_k %v, want %v", cols, got, order[:50])
		}
		numbers[7] = 0.5
		sum, least, exps := 0.0, math.Inf(1), 0.0
		for _, v := range numbers {
			sum, least, exps = sum+float64(v), min(least, float64(v)), exps+math.Exp(float64(v)-9)
		}
		for fn, want := range map[tensor.Fn]float64{tensor.Sum: sum, tensor.Mean: sum / float64(cols), tensor.Min: least, tensor.Max: 9} {
			if got := read[float32](t, d, sums[fn])[0]; math.Abs(float64(got)-want) > 1e-7*math.Abs(want) {
				t.Errorf("%d columns: %s %v, want %v", cols, fn, got, want)
			}
		}
		for i, got := range read[float32](t, d, y) {
			if want := math.Exp(float64(numbers[i])-9) / exps; math.Abs(float64(got)-want) > 1e-6*want {
				t.Fatalf("%d columns: softmax %d is %v, want %v", cols, i, got, want)
			}
		}
		for _, x := range []*tensor.Tensor{space, best, vals, ids, y, x2} {
			d.Free(x)
		}
	}
}

// Nothing is done for tensors without numbers.
func TestEmpty(t *testing.T) {
	d := emulated(t)
	s := tensor.NewStream(d)
	for _, shape := range [][]int{{0, 8}, {3, 0}, {0, 0}} {
		x, i := alloc(t, d, tensor.F32, shape...), alloc(t, d, tensor.I32, shape[0])
		s.RMSNorm(x, x, nil, 1)
		s.LayerNorm(x, x, nil, nil, 1)
		s.Softmax(x, x)
		s.GLU(x, x, x, tensor.SiLU)
		s.Unary(x, x, tensor.Exp)
		s.Add(x, x, x)
		s.Scale(x, x, 2)
		s.Fill(x, 2)
		s.Random(x, 2)
		s.Transpose(alloc(t, d, tensor.F32, shape[1], shape[0]), x)
		if shape[1] > 0 {
			s.ArgMax(i, x)
			s.Reduce(i.Reshape(shape[0]), alloc(t, d, tensor.I32, shape...), tensor.Sum)
			s.TopK(alloc(t, d, tensor.F32, shape[0], 2), alloc(t, d, tensor.I32, shape[0], 2), x)
			s.RoPE(x.Reshape(0, 1, 8), x.Reshape(0, 1, 8), i, nil, tensor.Rope{Dims: 8, Base: 10})
		}
		if err := s.Sync(); err != nil {
			t.Errorf("%v: %v", shape, err)
		}
	}
}

// Views that begin anywhere: no number beside them changes.
func TestUnaligned(t *testing.T) {
	d := emulated(t)
	s := tensor.NewStream(d)
	for at := range 5 {
		for _, n := range []int{1, 3, 4, 1021} {
			space, other := alloc(t, d, tensor.F32, n+8), alloc(t, d, tensor.F32, n)
			s.Fill(space, -7)
			s.Fill(other, 3)
			x := space.Slice(at, at+n)
			s.Fill(x, 2)
			s.Binary(x, x, other, tensor.Mul) // 6
			s.Scale(x, x, 0.5)                // 3
			s.Unary(x, x, tensor.Neg)         // -3
			s.Binary(x, x, other.Slice(0, 1), tensor.Add)
			s.GLU(x, x, other, tensor.Sigmoid) // sigmoid(0)·3
			for i, got := range read[float32](t, d, space) {
				want := float32(-7)
				if i >= at && i < at+n {
					want = 1.5
				}
				if got != want {
					t.Fatalf("%d numbers at %d: number %d is %v, want %v", n, at, i, got, want)
				}
			}
			s.Random(space.Slice(at, at+n), 5)
			s.Random(other, 5)
			got, want := read[float32](t, d, space), read[float32](t, d, other)
			if !slices.Equal(got[at:at+n], want) || got[at+n] != -7 {
				t.Fatalf("%d random numbers at %d are others than at 0", n, at)
			}
			d.Free(space)
			d.Free(other)
		}
	}
}

// What has no result among integers is an error, and the device works on.
func TestIntegerFaults(t *testing.T) {
	d := emulated(t)
	s := tensor.NewStream(d)
	for _, c := range []struct {
		fn   tensor.Fn
		b    []int32
		want string
	}{{tensor.Div, []int32{-1, 0, 2}, "division by zero"}, {tensor.Pow, []int32{1, 2, -2}, "negative power -2"}} {
		x, y := alloc(t, d, tensor.I32, 3), alloc(t, d, tensor.I32, 3)
		write(t, d, x, []int32{math.MinInt32, 5, -7})
		write(t, d, y, c.b)
		s.Binary(x, x, y, c.fn)
		var fault *FaultError
		if err := s.Sync(); !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s by %v: got %v, want %q", c.fn, c.b, err, c.want)
		}
		write(t, d, x, []int32{math.MinInt32, 5, -7})
		write(t, d, y, []int32{-1, -2, 2})
		s.Binary(x, x, y, tensor.Div)
		if got, want := read[int32](t, d, x), []int32{math.MinInt32, -3, -4}; !slices.Equal(got, want) {
			t.Errorf("division rounds down: got %v, want %v", got, want)
		}
	}
	x := alloc(t, d, tensor.I32, 4)
	for _, do := range []func(){
		func() { s.Binary(x, x, x.Slice(0, 1), tensor.Add) },
		func() { s.Unary(x, x, tensor.Exp) },
		func() { s.Reduce(x.Slice(0, 1), x, tensor.Mean) },
	} {
		do()
		if err := s.Sync(); !errors.Is(err, tensor.ErrUnsupported) {
			t.Errorf("got %v, want a refusal", err)
		}
	}
}

// NaN comes through where it would be lost, and is passed over where a number
// is looked for.
func TestNaN(t *testing.T) {
	d := emulated(t)
	s := tensor.NewStream(d)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x, y, z, i := alloc(t, d, tensor.F32, 4), alloc(t, d, tensor.F32, 4), alloc(t, d, tensor.F32, 4), alloc(t, d, tensor.I32, 1)
	write(t, d, x, []float32{nan, 1, -inf, 2})
	write(t, d, y, []float32{0, nan, 3, 2})
	same := func(what string, want ...float32) {
		t.Helper()
		for i, got := range read[float32](t, d, z)[:len(want)] {
			if got != want[i] && (got == got || want[i] == want[i]) {
				t.Errorf("%s: number %d is %v, want %v", what, i, got, want[i])
			}
		}
	}
	s.Binary(z, x, y, tensor.Min)
	same("min", nan, nan, -inf, 2)
	s.Binary(z, x, y, tensor.Max)
	same("max", nan, nan, 3, 2)
	s.Unary(z, x, tensor.ReLU)
	same("relu", nan, 1, 0, 2)
	s.Reduce(z.Slice(0, 1), x, tensor.Max)
	same("reduced max", nan)
	s.Softmax(z, x)
	same("softmax", nan, nan, nan, nan)
	s.Softmax(z.Slice(0, 2), y.Slice(2, 4))
	for _, c := range []struct {
		row  []float32
		want int32
	}{{[]float32{nan, -inf, nan, nan}, 1}, {[]float32{nan, nan, nan, nan}, 0}, {[]float32{-1, nan, 3, 3}, 2}} {
		write(t, d, x, c.row)
		s.ArgMax(i, x)
		if got := read[int32](t, d, i)[0]; got != c.want {
			t.Errorf("arg_max of %v: got %d, want %d", c.row, got, c.want)
		}
	}
	write(t, d, x, []float32{-inf, -inf, -inf, -inf})
	s.Softmax(z, x)
	same("softmax of nothing", nan, nan, nan, nan)
}
