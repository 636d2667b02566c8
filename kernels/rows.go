package kernels

import (
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

type rowsArgs struct {
	table  planes
	dst    uint64
	ids    uint64
	fault  uint64
	first  int64
	n      int64
	chunks int32
	rows   int32
	typ    int32
	_      int32
}

var _ = mirror(rowsArgs{}, append(kernelsOf("rows_"), "rows_plain"))

// kernelsOf are the names of kernels that exist for every form of quantised
// weights.
func kernelsOf(op string) (names []string) {
	for _, dt := range tensor.DTypes() {
		if packs(dt) {
			names = append(names, op+dt.String())
		}
		if dt.Quantised() {
			names = append(names, op+"raw_"+dt.String())
		}
	}
	return names
}

// rows decodes the table's rows that the ids name.
func (d *Device) rows(op *tensor.Op) error {
	dst, table, ids := op.Dst, op.A, op.B
	p, first, kind := d.form(table)
	args := rowsArgs{table: p, dst: ptr(dst), ids: ptr(ids), fault: d.faultWord(), first: first, rows: int32(table.Rows())}
	if !table.DType.Quantised() {
		args.n, args.chunks, args.typ = int64(dst.Len()), int32(table.Cols()), int32(table.DType)
		return d.launch("rows_plain", ceil(dst.Len(), 256), 256, 0, unsafe.Pointer(&args))
	}
	args.n, args.chunks, args.typ = int64(dst.Len()/32), int32(table.Cols()/32), int32(tensor.F32)
	return d.launch("rows_"+kind, ceil(dst.Len()/32, 128), 128, 0, unsafe.Pointer(&args))
}

// decodeChunks writes n chunks of x, from chunk `from` on, to dst in a plain type.
func (d *Device) decodeChunks(dst uint64, typ tensor.DType, x *tensor.Tensor, from, n int) error {
	p, first, kind := d.form(x)
	args := rowsArgs{table: p, dst: dst, first: first + int64(from), n: int64(n), chunks: int32(x.Cols() / 32), typ: int32(typ)}
	return d.launch("rows_"+kind, ceil(n, 128), 128, 0, unsafe.Pointer(&args))
}
