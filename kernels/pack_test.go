package kernels

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

func randomBytes(n int) []byte {
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// shapesOf are shapes of weights: whole superblocks, and for short blocks rows
// that are not.
func shapesOf(dt tensor.DType) [][]int {
	shapes := [][]int{{5, 512}, {37, 256}}
	if dt.BlockLen() == 32 {
		shapes = append(shapes, []int{7, 160}, []int{1, 32})
	}
	return shapes
}

func place(t *testing.T, d *Device, dt tensor.DType, data []byte, shape ...int) *tensor.Tensor {
	t.Helper()
	w, err := d.Place("w", dt, shape, data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Free(w) })
	return w
}

// written is a tensor as New makes it, with these bytes.
func written(t *testing.T, d *Device, dt tensor.DType, data []byte, shape ...int) *tensor.Tensor {
	t.Helper()
	w, err := d.New(dt, shape...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Free(w) })
	if err := d.Write(w, data); err != nil {
		t.Fatal(err)
	}
	return w
}

func readBytes(t *testing.T, d *Device, x *tensor.Tensor) []byte {
	t.Helper()
	got := make([]byte, x.Bytes())
	if err := d.Read(got, x); err != nil {
		t.Fatal(err)
	}
	return got
}

func readFloats(t *testing.T, d *Device, x *tensor.Tensor) []float32 {
	t.Helper()
	f := make([]float32, x.Len())
	tensor.F32.Decode(f, readBytes(t, d, x))
	return f
}

// sameBits compares bits; all NaN are equal.
func sameBits(got, want []float32) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d numbers, want %d", len(got), len(want))
	}
	for i, w := range want {
		if math.Float32bits(got[i]) != math.Float32bits(w) && (w == w || got[i] == got[i]) {
			return fmt.Errorf("number %d is %v, want %v", i, got[i], w)
		}
	}
	return nil
}

// Planes hold every bit of a block.
func TestPlanesRoundTrip(t *testing.T) {
	d := emulated(t)
	for dt := range planeBytes {
		for _, shape := range shapesOf(dt) {
			data := randomBytes(dt.Bytes(tensor.Count(shape)))
			w := place(t, d, dt, data, shape...)
			if !bytes.Equal(readBytes(t, d, w), data) {
				t.Errorf("%s%v: what is read is not what was placed", dt, shape)
			}
			part, row := w.Slice(shape[0]/2, shape[0]), w.RowBytes()
			if !bytes.Equal(readBytes(t, d, part), data[shape[0]/2*row:]) {
				t.Errorf("%s%v: rows that are read are not what was placed", dt, shape)
			}
		}
	}
}

// chunkAt is a chunk's number in planes (format.cuh): tiles of 16 rows and 4
// chunks, row after row of them.
func chunkAt(row, col, chunks int) int {
	tile := row/16*((chunks+3)/4) + col/4
	return tile*64 + row%16*4 + col%4
}

// Planes lie as format.cuh says. The integers are known from blocks whose
// scales are 1, so that the reference decoder returns them.
func TestPlanesLayout(t *testing.T) {
	d := emulated(t)
	one := []byte{0x00, 0x3c}
	fill := func(b []byte, v byte) {
		for i := range b {
			b[i] = v
		}
	}
	for _, c := range []struct {
		dt       tensor.DType
		unit     func(block []byte) // makes the scales of a block 1, its offsets 0
		zero     int                // the integer of the number 0
		h1, h2   int                // planes of high bits, -1 without
		h1s, h2s int                // their lowest bit
	}{
		{tensor.Q4_0, func(b []byte) { copy(b, one) }, 8, -1, -1, 0, 0},
		{tensor.Q5_0, func(b []byte) { copy(b, one) }, 16, 1, -1, 4, 0},
		{tensor.Q5_1, func(b []byte) { copy(b, append(one, 0, 0)) }, 0, 1, -1, 4, 0},
		{tensor.Q2_K, func(b []byte) { fill(b[:16], 1); copy(b[80:], append(one, 0, 0)) }, 0, -1, 0, 0, 0},
		{tensor.Q3_K, func(b []byte) { fill(b[96:104], 0x11); fill(b[104:108], 0xaa); copy(b[108:], one) }, 4, 1, 0, 2, 0},
		{tensor.Q4_K, func(b []byte) {
			copy(b, append(one, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1))
		}, 0, -1, -1, 0, 0},
		{tensor.Q5_K, func(b []byte) {
			copy(b, append(one, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1))
		}, 0, 1, -1, 4, 0},
		{tensor.Q6_K, func(b []byte) { fill(b[192:208], 1); copy(b[208:], one) }, 32, -1, 1, 0, 4},
		{tensor.Q8_0, func(b []byte) { copy(b, one) }, 0, -1, -1, 0, 0},
	} {
		const m, k = 3, 512
		data, x := randomBytes(c.dt.Bytes(m*k)), make([]float32, m*k)
		for at := 0; at < len(data); at += c.dt.BlockBytes() {
			c.unit(data[at : at+c.dt.BlockBytes()])
		}
		c.dt.Decode(x, data)
		offsets, total := planeSizes(c.dt, m, k)
		w, memory := place(t, d, c.dt, data, m, k), make([]byte, total)
		if err := d.enter("test"); err != nil {
			t.Fatal(err)
		}
		err := d.download(memory, ptr(w))
		d.leave()
		if err != nil {
			t.Fatal(err)
		}
		for n, v := range x {
			q, ch, i := int(v)+c.zero, chunkAt(n/k, n%k/32, k/32), n%32
			word, lane, half := i%16/4, i%4, i/16
			check := func(what string, got byte, want int) {
				if int(got) != want {
					t.Fatalf("%s: number %d of chunk %d: %s %#x, want %#x", c.dt, i, ch, what, got, want)
				}
			}
			if c.dt == tensor.Q8_0 {
				check("q8", memory[ch/8*256+half*128+ch%8*16+i%16], q&255)
				continue
			}
			if c.dt != tensor.Q2_K && c.dt != tensor.Q3_K {
				check("q", memory[16*ch+i%16]>>(4*half)&15, q&15)
			}
			if c.h1 >= 0 {
				h := binary.LittleEndian.Uint32(memory[offsets[c.h1]+4*ch:])
				check("h1", byte(h>>(8*lane+4*half+word)&1), q>>c.h1s&1)
			}
			if c.h2 >= 0 {
				h := binary.LittleEndian.Uint32(memory[offsets[c.h2]+8*ch+4*half:])
				check("h2", byte(h>>(8*lane+2*word)&3), q>>c.h2s&3)
			}
		}
	}
}

// Both forms of every type decode to the bits of package tensor.
func TestDecoders(t *testing.T) {
	d := emulated(t)
	for _, dt := range tensor.DTypes() {
		if !dt.Quantised() {
			continue
		}
		for _, shape := range shapesOf(dt) {
			data, want := randomBytes(dt.Bytes(tensor.Count(shape))), make([]float32, tensor.Count(shape))
			dt.Decode(want, data)
			for form, w := range map[string]*tensor.Tensor{
				"placed": place(t, d, dt, data, shape...), "written": written(t, d, dt, data, shape...),
			} {
				s, out := tensor.NewStream(d), written(t, d, tensor.F32, make([]byte, 4*len(want)), shape...)
				s.Convert(out, w)
				if err := s.Sync(); err != nil {
					t.Fatal(err)
				}
				if err := sameBits(readFloats(t, d, out), want); err != nil {
					t.Errorf("%s %s%v: %v", form, dt, shape, err)
				}
				lo, cols := shape[0]/2, shape[1]
				part := written(t, d, tensor.F32, make([]byte, 4*cols*(shape[0]-lo)), shape[0]-lo, cols)
				s.Convert(part, w.Slice(lo, shape[0]))
				if err := s.Sync(); err != nil {
					t.Fatal(err)
				}
				if err := sameBits(readFloats(t, d, part), want[lo*cols:]); err != nil {
					t.Errorf("rows of %s %s%v: %v", form, dt, shape, err)
				}
			}
		}
	}
}

// The card's encoders write the bytes of package tensor's.
func TestEncoders(t *testing.T) {
	d := emulated(t)
	const m, k = 13, 96
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, m*k)
	for i := range x {
		switch i / k {
		case 0: // zeros
		case 1:
			x[i] = 1
		case 2: // ties
			x[i] = float32(i%17-8) / 2
		case 3:
			x[i] = float32(rng.NormFloat64()) * 1e-6
		case 4:
			x[i] = float32(i%2*2 - 1)
		default:
			x[i] = float32(rng.NormFloat64())
		}
	}
	data := make([]byte, 4*len(x))
	tensor.F32.Encode(data, x)
	from := written(t, d, tensor.F32, data, m, k)
	for _, dt := range []tensor.DType{tensor.Q4_0, tensor.Q4_1, tensor.Q5_0, tensor.Q5_1, tensor.Q8_0} {
		want := make([]byte, dt.Bytes(len(x)))
		dt.Encode(want, x)
		s, out := tensor.NewStream(d), written(t, d, dt, make([]byte, len(want)), m, k)
		s.Convert(out, from)
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := readBytes(t, d, out); !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes than the reference encoder's", dt)
		}
	}
}

// Products with unpacked weights, of one row of x and more, of x that fits
// into shared memory and that does not.
func TestMatVecRaw(t *testing.T) {
	d := emulated(t)
	for _, dt := range tensor.DTypes() {
		for _, c := range []struct{ n, m, k int }{{1, 5, 512}, {1, 2, 12288}, {3, 17, 256}, {8, 3, 2048}} {
			rng := rand.New(rand.NewPCG(5, 6))
			data := usual(dt, c.m*c.k, rng)
			w, x := make([]float32, c.m*c.k), make([]float32, c.n*c.k)
			dt.Decode(w, data)
			for i := range x {
				x[i] = float32(rng.NormFloat64())
			}
			input := make([]byte, 4*len(x))
			tensor.F32.Encode(input, x)
			out := written(t, d, tensor.F32, make([]byte, 4*c.n*c.m), c.n, c.m)
			op := &tensor.Op{Kind: tensor.OpMatMul, Dst: out, A: written(t, d, dt, data, c.m, c.k), B: written(t, d, tensor.F32, input, c.n, c.k)}
			if err := d.enter("test"); err != nil {
				t.Fatal(err)
			}
			err := d.matVecRaw(op)
			d.leave()
			if err != nil {
				t.Fatal(err)
			}
			got := readFloats(t, d, out)
			for i, g := range got {
				sum, size := 0.0, 0.0
				for l := range c.k {
					p := float64(x[i/c.m*c.k+l]) * float64(w[i%c.m*c.k+l])
					sum, size = sum+p, size+math.Abs(p)
				}
				if !(math.Abs(float64(g)-sum) <= 1e-4*size) {
					t.Fatalf("%s %v: number %d is %v, want %v", dt, c, i, g, sum)
				}
			}
		}
	}
}

// usual are n numbers of a type, of usual size.
func usual(dt tensor.DType, n int, rng *rand.Rand) []byte {
	data := make([]byte, dt.Bytes(n))
	if dt.CanEncode() {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64() * 3)
		}
		dt.Encode(data, x)
		return data
	}
	block := make([]float32, dt.BlockLen())
	for at, size := 0, dt.BlockBytes(); at < len(data); at += size {
		for ok := false; !ok; {
			for i := range size {
				data[at+i] = byte(rng.Uint32())
			}
			dt.Decode(block, data[at:at+size])
			ok = true
			for _, v := range block {
				ok = ok && math.Abs(float64(v)) < 8
			}
		}
	}
	return data
}
