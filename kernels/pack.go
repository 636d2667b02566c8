package kernels

import (
	"fmt"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// A planes holds the addresses of a weight's planes (format.cuh); of a type
// without planes the first is where its blocks begin. It mirrors struct Planes.
type planes [4]uint64

// planeAlign is what the beginnings of planes are multiples of.
const planeAlign = 256

// planeBytes are the sizes of the planes of packed types, in bytes of 8 chunks
// of a row.
var planeBytes = map[tensor.DType][]int{
	tensor.Q4_0:   {128, 16},
	tensor.Q4_1:   {128, 32},
	tensor.Q5_0:   {128, 32, 16},
	tensor.Q5_1:   {128, 32, 32},
	tensor.Q8_0:   {256, 16},
	tensor.Q2_K:   {64, 16, 4},
	tensor.Q3_K:   {64, 32, 16, 2},
	tensor.Q4_K:   {128, 16},
	tensor.Q5_K:   {128, 32, 16},
	tensor.Q6_K:   {128, 64, 16, 2},
	tensor.IQ4_NL: {128, 16},
	tensor.IQ4_XS: {128, 8, 2},
	tensor.MXFP4:  {128, 8},

	tensor.NF4:      {128, 16},
	tensor.FP4:      {128, 16},
	tensor.LLM_INT8: {256, 16},
}

// packs says whether Place keeps a type as planes.
func packs(dt tensor.DType) bool { return planeBytes[dt] != nil }

// A tile of planes is 16 rows of 4 chunks.
const (
	tileRows    = 16
	tileColumns = 128
)

// planeSizes are where the planes of an m×k matrix begin in its memory, and
// how long they are together: whole tiles.
func planeSizes(dt tensor.DType, m, k int) (offsets [4]int, total int) {
	chunks := ceil(m, tileRows) * ceil(k, tileColumns) * 64
	for i, bytes := range planeBytes[dt] {
		offsets[i] = total
		total += ceil(chunks*bytes/8, planeAlign) * planeAlign
	}
	return offsets, total
}

// packedBytes is what an m×k matrix takes as planes, 0 if it has none.
func packedBytes(dt tensor.DType, m, k int) int {
	_, total := planeSizes(dt, m, k)
	return total
}

// planesOf are the planes of an m×k matrix in memory at base.
func planesOf(dt tensor.DType, base uint64, m, k int) (p planes) {
	offsets, _ := planeSizes(dt, m, k)
	for i := range planeBytes[dt] {
		p[i] = base + uint64(offsets[i])
	}
	return p
}

// form is how the numbers of t lie: its planes and the number of its first
// chunk, or the blocks (numbers) at its address. kind names the kernels for
// it: "q4_k" or "raw_q4_k"; types without planes have kernels for the raw form
// alone, and plain types no other name than their own.
func (d *Device) form(t *tensor.Tensor) (p planes, first int64, kind string) {
	if p, first, ok := d.packed(t); ok {
		return p, first, t.DType.String()
	}
	if t.DType.Quantised() {
		return planes{ptr(t)}, 0, "raw_" + t.DType.String()
	}
	return planes{ptr(t)}, 0, t.DType.String()
}

type packArgs struct {
	planes planes
	raw    uint64
	first  int64
	n      int64
	chunks int32
	_      int32
}

var _ = mirror(packArgs{}, packKernels())

func packKernels() (names []string) {
	for dt := range planeBytes {
		names = append(names, "pack_"+dt.String(), "unpack_"+dt.String())
	}
	return names
}

// pack makes planes of the blocks that lie on the card at raw, an even
// address: n chunks, whole blocks, of which the first is chunk `first` of a
// matrix of so many columns.
func (d *Device) pack(dt tensor.DType, p planes, cols int, first, n int64, raw uint64) error {
	args := packArgs{planes: p, raw: raw, first: first, n: n, chunks: int32(cols / 32)}
	return d.launch("pack_"+dt.String(), ceil(int(n), 256), 256, 0, unsafe.Pointer(&args))
}

// unpackAt is the inverse of pack.
func (d *Device) unpackAt(dt tensor.DType, p planes, cols int, first, n int64, raw uint64) error {
	args := packArgs{planes: p, raw: raw, first: first, n: n, chunks: int32(cols / 32)}
	return d.launch("unpack_"+dt.String(), ceil(dt.Bytes(int(32*n)), 256), 256, 0, unsafe.Pointer(&args))
}

// unpack reads a packed tensor, or whole rows of one, as the blocks that it
// was made of. The device is entered.
func (d *Device) unpack(dst []byte, t *tensor.Tensor) error {
	p, first, ok := d.packed(t)
	if !ok {
		return fmt.Errorf("%s: read: %s has no planes", d.name, t)
	}
	piece := int64(largest) / int64(t.DType.BlockBytes()) * int64(t.DType.BlockLen()) / 32
	raw, err := d.scratch(convertScratch, min(largest, len(dst)))
	if err != nil {
		return err
	}
	for end := first + int64(t.Len()/32); first < end && err == nil; first += piece {
		n := min(piece, end-first)
		if err = d.unpackAt(t.DType, p, t.Cols(), first, n, raw); err != nil {
			return d.wrap("read", err)
		}
		bytes := t.DType.Bytes(int(32 * n))
		err = d.download(dst[:bytes], raw)
		dst = dst[bytes:]
	}
	return err
}
