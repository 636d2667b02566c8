package cpu

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// step is a decoder's usual neighbours: norm, three products of one input, turn,
// store, attention, product, sum.
func step(t testing.TB, dev *Device, n int) (tensor.Program, *tensor.Tensor) {
	t.Helper()
	const dim, heads, kv, hd, ctx = 256, 4, 2, 64, 32
	s := tensor.NewStream(dev)
	make := func(d tensor.DType, shape ...int) *tensor.Tensor {
		x, err := dev.New(d, shape...)
		if err != nil {
			t.Fatal(err)
		}
		if d == tensor.F32 {
			s.Random(x, uint64(shape[0]))
		}
		return x
	}
	x, h := make(tensor.F32, n, dim), make(tensor.F32, n, dim)
	wq, wk, wv := make(tensor.F32, heads*hd, dim), make(tensor.F32, kv*hd, dim), make(tensor.F32, kv*hd, dim)
	q, k, v := make(tensor.F32, n, heads*hd), make(tensor.F32, n, kv*hd), make(tensor.F32, n, kv*hd)
	kc, vc := make(tensor.F16, ctx, kv*hd), make(tensor.F16, ctx, kv*hd)
	pos := make(tensor.I32, n)
	for i := range n {
		i32s(pos)[i] = int32(i)
	}
	rope := tensor.Rope{Dims: hd, Base: 10000}
	p, err := s.Record(func() {
		s.RMSNorm(h, x, nil, 1e-5)
		s.MatMul(q, wq, h)
		s.MatMul(k, wk, h)
		s.MatMul(v, wv, h)
		s.RoPE(q.Reshape(n, heads, hd), q.Reshape(n, heads, hd), pos, nil, rope)
		s.RoPE(k.Reshape(n, kv, hd), k.Reshape(n, kv, hd), pos, nil, rope)
		s.Store(kc, k, pos)
		s.Store(vc, v, pos)
		s.Attention(q, q, kc, vc, pos, tensor.Attend{Heads: heads, KVHeads: kv, Scale: 0.125})
		s.MatMul(h, wq, q)
		s.Add(x, x, h)
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, x
}

func TestRunAllocatesNothing(t *testing.T) {
	for _, n := range []int{1, 7} {
		dev := New(2)
		p, _ := step(t, dev, n)
		if got := testing.AllocsPerRun(50, func() {
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("n = %d: %v allocations a run", n, got)
		}
		dev.Close()
	}
}

func TestProgramSameAsOps(t *testing.T) {
	one, four := New(1), New(4)
	defer four.Close()
	a, x := step(t, one, 5)
	b, y := step(t, four, 5)
	for range 3 {
		if err := errors.Join(a.Run(), b.Run()); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range f32s(x) {
		if got := f32s(y)[i]; got != want {
			t.Fatalf("number %d: %v with four threads, %v with one", i, got, want)
		}
	}
	a.Free()
	if err := a.Run(); err == nil {
		t.Error("a freed program runs")
	}
}

func TestRefusals(t *testing.T) {
	dev := New(2)
	defer dev.Close()
	tensors := func(d tensor.DType, data []byte, shape ...int) *tensor.Tensor {
		x, err := dev.New(d, shape...)
		if err != nil {
			t.Fatal(err)
		}
		if data != nil {
			copy(x.Data, data)
		}
		return x
	}
	ids := tensors(tensor.I32, []byte{3, 0, 0, 0}, 1)
	minus := tensors(tensor.I32, []byte{255, 255, 255, 255}, 1)
	table, row := tensors(tensor.F32, nil, 3, 64), tensors(tensor.F32, nil, 1, 64)
	cache := tensors(tensor.F16, nil, 8, 64)
	ints, zero := tensors(tensor.I32, []byte{1}, 1), tensors(tensor.I32, nil, 1)
	for _, c := range []struct {
		name, want string
		do         func(s *tensor.Stream)
	}{
		{"id beyond the table", "id 3 is not among the 3 rows", func(s *tensor.Stream) { s.Rows(row, table, ids) }},
		{"negative id", "id -1", func(s *tensor.Stream) { s.Rows(row, table, minus) }},
		{"store at a negative position", "position -1", func(s *tensor.Stream) { s.Store(cache, row, minus) }},
		{"turn at a negative position", "position -1", func(s *tensor.Stream) {
			s.RoPE(row.Reshape(1, 1, 64), row.Reshape(1, 1, 64), minus, nil, tensor.Rope{Dims: 64, Base: 1e4})
		}},
		{"attention at a negative position", "position -1", func(s *tensor.Stream) {
			s.Attention(row, row, cache, cache, minus, tensor.Attend{Heads: 1, KVHeads: 1, Scale: 1})
		}},
		{"store into a sequence too far", "sequence 3 of row 0: there are 2", func(s *tensor.Stream) {
			s.Sequences(ids, 2)
			s.Store(cache, row, zero)
		}},
		{"attention in a sequence too far", "sequence 3 of row 0: there are 2", func(s *tensor.Stream) {
			s.Sequences(ids, 2)
			s.Attention(row, row, cache, cache, zero, tensor.Attend{Heads: 1, KVHeads: 1, Scale: 1})
		}},
		{"sequences of other rows", "store: sequences i32(2) of rows at i32(1), 2 of them in f16(8, 64)", func(s *tensor.Stream) {
			s.Sequences(tensors(tensor.I32, nil, 2), 2)
			s.Store(cache, row, zero)
		}},
		{"a cache of no whole sequences", "attention: sequences i32(1) of rows at i32(1), 3 of them in f16(8, 64)", func(s *tensor.Stream) {
			s.Sequences(zero, 3)
			s.Attention(row, row, cache, cache, zero, tensor.Attend{Heads: 1, KVHeads: 1, Scale: 1})
		}},
		{"sequences that are no integers", "sequences: f32(1, 64) of 2", func(s *tensor.Stream) { s.Sequences(row, 2) }},
		{"no sequences", "sequences: i32(1) of 0", func(s *tensor.Stream) { s.Sequences(zero, 0) }},
		{"a fork to itself", "fork: 1 positions of sequence 1 for 1, 2 of them", func(s *tensor.Stream) { s.Fork(cache, 2, 1, 1, 1) }},
		{"a fork to a sequence too far", "fork: 1 positions of sequence 1 for 2, 2 of them", func(s *tensor.Stream) { s.Fork(cache, 2, 1, 2, 1) }},
		{"integer division by zero", "division by zero", func(s *tensor.Stream) { s.Binary(ints, ints, zero, tensor.Div) }},
		{"integer to a negative power", "negative power", func(s *tensor.Stream) { s.Binary(ints, ints, minus, tensor.Pow) }},
		{"mean of integers", "convert it to a float type first", func(s *tensor.Stream) { s.Reduce(ints, ints, tensor.Mean) }},
		{"exponential of integers", "convert it to a float type first", func(s *tensor.Stream) { s.Unary(ints, ints, tensor.Exp) }},
	} {
		s := tensor.NewStream(dev)
		c.do(s)
		if err := s.Sync(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
		s = tensor.NewStream(dev)
		p, err := s.Record(func() { c.do(s) })
		if err == nil {
			err = p.Run()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, recorded: got %v, want an error with %q", c.name, err, c.want)
		}
	}
	if _, err := dev.New(tensor.F32, 1<<20, 1<<20); !errors.Is(err, tensor.ErrNoMemory) {
		t.Errorf("4 TiB: got %v, want ErrNoMemory", err)
	}
	if _, err := dev.Place("w", tensor.F32, []int{3}, make([]byte, 8)); err == nil {
		t.Error("place of too few bytes: no error")
	}
}

// TestIntegersAreExact has numbers that float64 cannot hold.
func TestIntegersAreExact(t *testing.T) {
	dev := New(1)
	s := tensor.NewStream(dev)
	make := func(d tensor.DType, n int) *tensor.Tensor {
		x, err := dev.New(d, n)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	a, b, c := make(tensor.I64, 3), make(tensor.I64, 3), make(tensor.I64, 3)
	copy(view[int64](a.Data), []int64{1<<62 + 1, -7, math.MaxInt64})
	copy(view[int64](b.Data), []int64{1, 2, 1})
	for _, test := range []struct {
		fn   tensor.Fn
		want [3]int64
	}{
		{tensor.Add, [3]int64{1<<62 + 2, -5, math.MinInt64}},
		{tensor.Sub, [3]int64{1 << 62, -9, math.MaxInt64 - 1}},
		{tensor.Mul, [3]int64{1<<62 + 1, -14, math.MaxInt64}},
		{tensor.Div, [3]int64{1<<62 + 1, -4, math.MaxInt64}}, // rounded down, as -7//2 is
		{tensor.Pow, [3]int64{1<<62 + 1, 49, math.MaxInt64}},
		{tensor.Max, [3]int64{1<<62 + 1, 2, math.MaxInt64}},
	} {
		s.Binary(c, a, b, test.fn)
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := [3]int64(view[int64](c.Data)); got != test.want {
			t.Errorf("%s: %v, want %v", test.fn, got, test.want)
		}
	}
	sum, small := make(tensor.I64, 1), make(tensor.I8, 3)
	s.Reduce(sum, a.Reshape(1, 3), tensor.Sum)
	s.Convert(small, a)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if got, want := view[int64](sum.Data)[0], int64(1<<62-7+math.MinInt64); got != want {
		t.Errorf("sum: %d, want %d", got, want)
	}
	if got := [3]int8(view[int8](small.Data)); got != [3]int8{1, -7, -1} {
		t.Errorf("as i8: %v, want the low bits 1, -7, -1", got)
	}
}

// TestNaN: NaN comes through the smaller and the larger of two, and of a row,
// and is no largest number.
func TestNaN(t *testing.T) {
	dev := New(1)
	s := tensor.NewStream(dev)
	x, _ := dev.New(tensor.F32, 1, 20)
	y, _ := dev.New(tensor.F32, 1)
	i, _ := dev.New(tensor.I32, 1)
	f32s(x)[7], f32s(x)[11] = float32(math.NaN()), 3
	for _, fn := range []tensor.Fn{tensor.Min, tensor.Max} {
		s.Reduce(y, x, fn)
		if v := f32s(y)[0]; v == v {
			t.Errorf("%s of a row with NaN: %v", fn, v)
		}
		s.Binary(x.Reshape(20), x.Reshape(20), y, fn)
		if v := f32s(x)[3]; v == v {
			t.Errorf("%s of 0 and NaN: %v", fn, v)
		}
		clear(f32s(x))
		f32s(x)[7], f32s(x)[11] = float32(math.NaN()), 3
	}
	s.ArgMax(i, x)
	if err := s.Sync(); err != nil || i32s(i)[0] != 11 {
		t.Errorf("arg_max: %d, %v, want 11", i32s(i)[0], err)
	}
}

func TestPlace(t *testing.T) {
	dev := New(1)
	data := aligned(64 + 1)
	at := func(off int) *tensor.Tensor {
		x, err := dev.Place("w", tensor.F32, []int{4}, data[off:off+16])
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	if x := at(4); &x.Data[0] != &data[4] {
		t.Error("a view was copied")
	}
	if x := at(1); addr(x.Data)%4 != 0 {
		t.Error("float32 at an odd address")
	}
}

func TestMemory(t *testing.T) {
	free, total := New(1).Memory()
	if free <= 0 || free > total {
		t.Errorf("%d of %d bytes free", free, total)
	}
}
