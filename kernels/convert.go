package kernels

import (
	"encoding/binary"
	"math"
	"runtime"
	"sync"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

type convertArgs struct {
	dst, x   uint64
	n        int64
	to, from int32
}

var _ = mirror(convertArgs{}, "convert_floats", "convert_plain", "convert_q4_0", "convert_q4_1", "convert_q5_0",
	"convert_q5_1", "convert_q8_0")

// convert makes dst of x in another type. Where blocks are decoded or encoded
// it goes through float32, as tensor/cpu does.
func (d *Device) convert(op *tensor.Op) error {
	dst, x := op.Dst, op.A
	if _, _, placed := d.packed(dst); placed {
		return d.refuse(op, "%s is a constant", dst)
	}
	p, first, packed := d.packed(x)
	switch {
	case dst.Len() == 0:
		return nil
	case dst.DType == x.DType && packed:
		return d.unpackAt(x.DType, p, x.Cols(), first, int64(x.Len()/32), ptr(dst))
	case dst.DType == x.DType:
		return d.move(ptr(dst), ptr(x), x.Bytes())
	case dst.DType.Quantised():
		return d.encode(op)
	case x.DType.Quantised():
		return d.decodeChunks(ptr(dst), dst.DType, x, 0, x.Len()/32)
	}
	return d.convertPlain(ptr(dst), dst.DType, ptr(x), x.DType, x.Len())
}

// convertPlain converts n numbers among plain types.
func (d *Device) convertPlain(dst uint64, to tensor.DType, x uint64, from tensor.DType, n int) error {
	args := convertArgs{dst, x, int64(n), int32(to), int32(from)}
	if isFloat(to) && isFloat(from) {
		return d.launch("convert_floats", ceil(n, 2048), 256, 0, unsafe.Pointer(&args))
	}
	return d.launch("convert_plain", ceil(n, 256), 256, 0, unsafe.Pointer(&args))
}

func isFloat(dt tensor.DType) bool {
	return dt == tensor.F32 || dt == tensor.F16 || dt == tensor.BF16
}

// encodes says whether the card has an encoder.
func encodes(dt tensor.DType) bool {
	switch dt {
	case tensor.Q4_0, tensor.Q4_1, tensor.Q5_0, tensor.Q5_1, tensor.Q8_0:
		return true
	}
	return false
}

// encodePiece is how many numbers are encoded at a time where they go through
// scratch memory or the host: whole blocks of every type.
const encodePiece = 1 << 18

// encode converts to a quantised type. Encoders that search for good scales
// run on the host, which a recorded step cannot.
func (d *Device) encode(op *tensor.Op) error {
	dst, x := op.Dst, op.A
	if encodes(dst.DType) && !x.DType.Quantised() {
		return d.encodeBlocks(ptr(dst), dst.DType, ptr(x), x.DType, x.Len())
	}
	if !encodes(dst.DType) && d.dry {
		return d.refuse(op, "a recorded step to %s, which the host encodes", dst)
	}
	wide, err := d.scratch(convertScratch, 4*min(encodePiece, x.Len()))
	if err != nil {
		return err
	}
	for at := 0; at < x.Len(); at += encodePiece {
		n, to := min(encodePiece, x.Len()-at), ptr(dst)+uint64(dst.DType.Bytes(at))
		if x.DType.Quantised() {
			err = d.decodeChunks(wide, tensor.F32, x, at/32, n/32)
		} else {
			err = d.convertPlain(wide, tensor.F32, ptr(x)+uint64(x.DType.Bytes(at)), x.DType, n)
		}
		if err != nil {
			return err
		}
		if encodes(dst.DType) {
			err = d.encodeBlocks(to, dst.DType, wide, tensor.F32, n)
		} else {
			err = d.encodeOnHost(to, dst.DType, wide, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// encodeBlocks converts n plain numbers.
func (d *Device) encodeBlocks(dst uint64, to tensor.DType, x uint64, from tensor.DType, n int) error {
	args := convertArgs{dst, x, int64(n / 32), int32(to), int32(from)}
	return d.launch("convert_"+to.String(), ceil(n/32, 128), 128, 0, unsafe.Pointer(&args))
}

// encodeOnHost converts n numbers f32 on the card with the type's reference
// encoder, on all cores.
func (d *Device) encodeOnHost(dst uint64, to tensor.DType, x uint64, n int) error {
	wide := make([]byte, 4*n)
	if err := d.download(wide, x); err != nil {
		return err
	}
	numbers := make([]float32, n)
	for i := range numbers {
		numbers[i] = math.Float32frombits(binary.LittleEndian.Uint32(wide[4*i:]))
	}
	blocks, share := make([]byte, to.Bytes(n)), ceil(n, 256*runtime.GOMAXPROCS(0))*256
	var wg sync.WaitGroup
	for lo := 0; lo < n; lo += share {
		hi := min(lo+share, n)
		wg.Go(func() { to.Encode(blocks[to.Bytes(lo):to.Bytes(hi)], numbers[lo:hi]) })
	}
	wg.Wait()
	for len(blocks) > 0 {
		piece := blocks[:min(len(blocks), ringSize/2)]
		part, err := d.host.part(d, len(piece))
		if err != nil {
			return err
		}
		copy(part, piece)
		if err := d.drv.MemcpyHtoD(dst, part, d.stream); err != nil {
			return err
		}
		blocks, dst = blocks[len(piece):], dst+uint64(len(piece))
	}
	return nil
}
