//go:build linux

package emulator_test

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// half is the value of an f16 by its definition (IEEE 754).
func half(h uint16) float64 {
	sign := 1 - 2*float64(h>>15)
	exponent, fraction := int(h>>10&31), float64(h&1023)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

func TestHalves(t *testing.T) {
	c := open(t)
	const n = 1 << 16
	all := make([]uint16, n)
	for i := range all {
		all[i] = uint16(i)
	}
	out := c.alloc(4 * n)
	c.must(c.run("floats", n/256, 256, 0, data{in: place(c, all), out: out, n: n}))
	for i, g := range read[float32](c, out, n) {
		if want := half(uint16(i)); float64(g) != want && (g == g || want == want) {
			t.Fatalf("h2f(%#x) = %v, want %v", i, g, want)
		}
	}

	// Each number halfway between two neighbours, and just beside it.
	var x []float32
	var want []uint16
	for h := uint16(0); h < 0x7c00; h++ {
		next := half(h + 1)
		if h+1 == 0x7c00 {
			next = 65536
		}
		even := h + h&1
		middle := float32((half(h) + next) / 2)
		x = append(x, float32(half(h)), middle, math.Nextafter32(middle, 0), math.Nextafter32(middle, 1e9), -middle)
		want = append(want, h, even, h, h+1, even|0x8000)
	}
	x = append(x, float32(math.Inf(1)), 1e30, -1e30, float32(math.NaN()), 1e-30)
	want = append(want, 0x7c00, 0x7c00, 0xfc00, 0x7fff, 0)
	out = c.alloc(2 * len(x))
	c.must(c.run("halves", (len(x)+255)/256, 256, 0, data{in: place(c, x), out: out, n: int32(len(x))}))
	for i, g := range read[uint16](c, out, len(x)) {
		if g != want[i] {
			t.Fatalf("f2h(%v) = %#x, want %#x", x[i], g, want[i])
		}
	}
}

func TestShuffles(t *testing.T) {
	c := open(t)
	out := c.alloc(4 * 12 * 32)
	for range 2 { // both orders
		c.must(c.run("shuffles", 1, 32, 0, data{out: out}))
		got := read[int32](c, out, 12*32)
		for lane := range 32 {
			eight := lane &^ 7
			or := func(ok bool, from int) int32 {
				if !ok {
					from = lane
				}
				return int32(100 + from)
			}
			var thirds int32
			for i := 0; i < 32; i += 3 {
				thirds |= 1 << i
			}
			last := int32(4) // match
			if lane >= 16 {
				last |= 1 // any
			} else {
				last |= 2 // all
			}
			swap := lane ^ 1
			if lane < 16 {
				swap = lane ^ 15
			}
			want := [12]int32{105, or(true, eight+(lane+3)%8), or(lane >= 4, lane-4), or(lane-3 >= eight, lane-3),
				or(lane+4 < 32, lane+4), or(lane+3 < eight+8, lane+3), or(true, lane^17), or(true, lane^1), or(true, lane^2), thirds,
				or(true, swap), last}
			for i, w := range want {
				if g := got[12*lane+i]; g != w {
					t.Errorf("lane %d, result %d: %d, want %d", lane, i, g, w)
				}
			}
		}
	}
}

// TestProducts: the tensor cores' fragments give the plain matrix product.
func TestProducts(t *testing.T) {
	c := open(t)
	r := rand.New(rand.NewPCG(1, 2))
	small := func(n int) []uint16 { // f16 integers from -8 to 8: products are exact
		v := make([]uint16, n)
		for i := range v {
			k := r.IntN(17) - 8
			for h := range uint16(1 << 15) {
				if half(h) == math.Abs(float64(k)) {
					v[i] = h
					break
				}
			}
			if k < 0 {
				v[i] |= 0x8000
			}
		}
		return v
	}
	a, b, start := small(16*16), small(16*8), make([]float32, 16*8)
	want := make([]float32, 16*8)
	transposed := make([]uint16, 8*16)
	for i := range 16 {
		for j := range 8 {
			start[i*8+j] = float32(r.IntN(100))
			sum := float64(start[i*8+j])
			for k := range 16 {
				sum += half(a[i*16+k]) * half(b[k*8+j])
			}
			want[i*8+j] = float32(sum)
			transposed[j*16+i] = b[i*8+j]
		}
	}
	in := place(c, a)
	for _, k := range []struct {
		kernel string
		b      []uint16
		which  int32
	}{{"product_f16", b, 0}, {"product_ldmatrix", b, 0}, {"product_ldmatrix", transposed, 1}} {
		out := place(c, start)
		c.must(c.run(k.kernel, 1, 32, 0, data{in: in, other: place(c, k.b), out: out, which: k.which}))
		for i, g := range read[float32](c, out, 16*8) {
			if g != want[i] {
				t.Errorf("%s %d: row %d, column %d: %v, want %v", k.kernel, k.which, i/8, i%8, g, want[i])
			}
		}
	}

	a8, b8, start8, want8 := make([]int8, 16*32), make([]int8, 32*8), make([]int32, 16*8), make([]int32, 16*8)
	for i := range a8 {
		a8[i] = int8(r.IntN(256) - 128)
	}
	for i := range b8 {
		b8[i] = int8(r.IntN(256) - 128)
	}
	for i := range want8 {
		start8[i] = int32(r.IntN(1000))
		want8[i] = start8[i]
		for k := range 32 {
			want8[i] += int32(a8[i/8*32+k]) * int32(b8[k*8+i%8])
		}
	}
	out := place(c, start8)
	c.must(c.run("product_s8", 1, 32, 0, data{in: place(c, a8), other: place(c, b8), out: out}))
	for i, g := range read[int32](c, out, 16*8) {
		if g != want8[i] {
			t.Errorf("product_s8: row %d, column %d: %v, want %v", i/8, i%8, g, want8[i])
		}
	}
}

// TestTransposed: with .trans lane i has numbers 2(i%4), 2(i%4)+1 of column i/4.
func TestTransposed(t *testing.T) {
	c := open(t)
	x := make([]uint16, 4*64)
	for i := range x {
		x[i] = uint16(i)
	}
	out := c.alloc(4 * 128)
	c.must(c.run("transposed", 1, 32, 0, data{in: place(c, x), out: out}))
	for i, g := range read[uint32](c, out, 128) {
		lane, m := i/4, i%4
		at := func(row int) uint32 { return uint32(m*64 + row*8 + lane/4) }
		if want := at(2*(lane%4)) | at(2*(lane%4)+1)<<16; g != want {
			t.Errorf("lane %d, matrix %d: %#x, want %#x", lane, m, g, want)
		}
	}
}

func TestBits(t *testing.T) {
	c := open(t)
	r := rand.New(rand.NewPCG(3, 4))
	x := []uint32{0, 1, 0x80000000, 0xffffffff, 0x7fc00000, 0x7f800000, 0xff800000, 0x4f000000, 0xcf000000, 0x3fc00000, 0x40200000, 0xbfc00000}
	for len(x) < 1000 {
		x = append(x, r.Uint32()>>r.IntN(32))
	}
	y := make([]uint32, len(x))
	for i := range y {
		y[i] = r.Uint32()
	}
	out := c.alloc(40 * len(x))
	c.must(c.run("bits", (len(x)+255)/256, 256, 0, data{in: place(c, x), other: place(c, y), out: out, n: int32(len(x))}))
	got := read[uint32](c, out, 10*len(x))
	for i := range x {
		x, y := x[i], y[i]
		want := [10]uint32{uint32(bits.OnesCount32(x)), uint32(bits.LeadingZeros32(x)), 0, bits.Reverse32(x), 0,
			uint32((uint64(y)<<32 | uint64(x)) << (y & 31) >> 32), uint32((uint64(y)<<32 | uint64(x)) >> (y & 31)), 7, 7, 0}
		if x != 0 {
			want[2] = uint32(bits.TrailingZeros32(x)) + 1
		}
		for k := range 4 {
			from := y >> (4 * k) & 7
			word := x
			if from >= 4 {
				word = y
			}
			want[4] |= word >> (from % 4 * 8) & 255 << (8 * k)
			want[7] += uint32(int32(int8(x>>(8*k))) * int32(int8(y>>(8*k))))
			want[8] += x >> (8 * k) & 255 * (y >> (8 * k) & 255)
		}
		f := math.RoundToEven(float64(math.Float32frombits(x)))
		switch {
		case f != f:
		case f >= 1<<31:
			want[9] = math.MaxInt32
		case f <= -1<<31:
			want[9] = 1 << 31
		default:
			want[9] = uint32(int32(f))
		}
		for k, w := range want {
			if g := got[10*i+k]; g != w {
				t.Errorf("result %d of %#x, %#x: %#x, want %#x", k, x, y, g, w)
			}
		}
	}
}
