package kernels

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// Angles are right to float32 at positions where float32 alone has lost them.
func TestRopeFarOut(t *testing.T) {
	d := emulated(t)
	for _, r := range []tensor.Rope{
		{Dims: 128, Base: 500000},
		{Dims: 64, Base: 10000, NeoX: true},
		{Dims: 128, Base: 1e6, NeoX: true, Scale: 0.25, AttnMul: 1.1386, YaRN: 1, BetaFast: 32, BetaSlow: 1, OrigCtx: 32768},
	} {
		positions := []int32{0, 1, 131071, 999_999, 1_000_000, 16_777_215}
		n, s := len(positions), tensor.NewStream(d)
		x, pos := alloc(t, d, tensor.F32, n, 2, r.Dims), alloc(t, d, tensor.I32, n)
		s.Fill(x, 1)
		write(t, d, pos, positions)
		s.RoPE(x, x, pos, nil, r)
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		got := read[float32](t, d, x)
		worst := 0.0
		for i, p := range positions {
			for j := range r.Dims / 2 {
				angle := float64(p) * math.Pow(r.Base, -2*float64(j)/float64(r.Dims))
				if r.YaRN != 0 {
					low, high := yarnBorders(&r)
					mix := 1 - min(1, max(0, (float64(j)-low)/(high-low)))
					angle *= r.Scale*(1-mix) + mix
				}
				sin, cos := math.Sincos(angle)
				mul := float64(ropeMul(&r))
				a, b := 2*j, 2*j+1
				if r.NeoX {
					a, b = j, j+r.Dims/2
				}
				for h := range 2 {
					row := got[(2*i+h)*r.Dims:]
					worst = max(worst, math.Abs(float64(row[a])-mul*(cos-sin)), math.Abs(float64(row[b])-mul*(sin+cos)))
				}
			}
		}
		if worst > 1e-6 {
			t.Errorf("%+v: off by %.3g", r, worst)
		}
	}
}

// Factors are read when the operation runs, not when a table was first made.
func TestRopeFactorsChange(t *testing.T) {
	d := emulated(t)
	s, r := tensor.NewStream(d), tensor.Rope{Dims: 2, Base: 10000}
	x, y, pos, factors := alloc(t, d, tensor.F32, 1, 1, 2), alloc(t, d, tensor.F32, 1, 1, 2), alloc(t, d, tensor.I32, 1), alloc(t, d, tensor.F32, 1)
	write(t, d, pos, []int32{3})
	write(t, d, x, []float32{1, 0})
	for _, f := range []float32{1, 2, 4} {
		write(t, d, factors, []float32{f})
		s.RoPE(y, x, pos, factors, r)
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		if got, want := read[float32](t, d, y)[1], math.Sin(3/float64(f)); math.Abs(float64(got)-want) > 1e-6 {
			t.Errorf("factor %v: got %v, want %v", f, got, want)
		}
	}
}

func alloc(t *testing.T, d *Device, dt tensor.DType, shape ...int) *tensor.Tensor {
	t.Helper()
	x, err := d.New(dt, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func write[T any](t *testing.T, d *Device, x *tensor.Tensor, numbers []T) {
	t.Helper()
	data, err := binary.Append(nil, binary.LittleEndian, numbers)
	if err == nil {
		err = d.Write(x, data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func read[T any](t *testing.T, d *Device, x *tensor.Tensor) []T {
	t.Helper()
	data, numbers := make([]byte, x.Bytes()), make([]T, x.Len())
	err := d.Read(data, x)
	if err == nil {
		_, err = binary.Decode(data, binary.LittleEndian, numbers)
	}
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}
