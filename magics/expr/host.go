package expr

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// Numbers are the numbers of a tensor on the host, exact: ints for the integer
// types, floats for all others.
type numbers struct {
	ints   []int64
	floats []float64
}

func (n numbers) len() int { return max(len(n.ints), len(n.floats)) }

// value is the number i as a scalar of the language.
func (n numbers) value(i int) Value {
	if n.ints != nil {
		return n.ints[i]
	}
	return n.floats[i]
}

// read copies the bytes of t to the host, or shows them where they are.
func read(t *tensor.Tensor) ([]byte, error) {
	if t.Data != nil {
		if err := t.Device.Sync(); err != nil {
			return nil, err
		}
		return t.Data[:t.Bytes()], nil
	}
	raw := make([]byte, t.Bytes())
	return raw, t.Device.Read(raw, t)
}

// decode reads numbers of type d.
func decode(d tensor.DType, raw []byte) numbers {
	n := len(raw) / d.BlockBytes() * d.BlockLen()
	le := binary.LittleEndian
	if isInt(d) {
		ints := make([]int64, n)
		for i := range ints {
			switch d {
			case tensor.I8:
				ints[i] = int64(int8(raw[i]))
			case tensor.I16:
				ints[i] = int64(int16(le.Uint16(raw[2*i:])))
			case tensor.I32:
				ints[i] = int64(int32(le.Uint32(raw[4*i:])))
			default:
				ints[i] = int64(le.Uint64(raw[8*i:]))
			}
		}
		return numbers{ints: ints}
	}
	floats := make([]float64, n)
	if d == tensor.F64 {
		for i := range floats {
			floats[i] = math.Float64frombits(le.Uint64(raw[8*i:]))
		}
		return numbers{floats: floats}
	}
	tmp := make([]float32, n)
	d.Decode(tmp, raw)
	for i, v := range tmp {
		floats[i] = float64(v)
	}
	return numbers{floats: floats}
}

// encode writes numbers as type d, integers cut to the range's end with an
// error that says so.
func encode(d tensor.DType, n numbers) ([]byte, error) {
	raw := make([]byte, d.Bytes(n.len()))
	le := binary.LittleEndian
	if isInt(d) {
		for i := range n.len() {
			v, err := toInt(d, n.value(i))
			if err != nil {
				return nil, err
			}
			switch d {
			case tensor.I8:
				raw[i] = byte(v)
			case tensor.I16:
				le.PutUint16(raw[2*i:], uint16(v))
			case tensor.I32:
				le.PutUint32(raw[4*i:], uint32(v))
			default:
				le.PutUint64(raw[8*i:], uint64(v))
			}
		}
		return raw, nil
	}
	if d == tensor.F64 {
		for i := range n.len() {
			le.PutUint64(raw[8*i:], math.Float64bits(toFloat(n.value(i))))
		}
		return raw, nil
	}
	if !d.CanEncode() {
		return nil, fmt.Errorf("%s can be read but not written: its encoder needs a training set; take another type", d)
	}
	tmp := make([]float32, n.len())
	for i := range tmp {
		tmp[i] = float32(toFloat(n.value(i)))
	}
	d.Encode(raw, tmp)
	return raw, nil
}

// toInt makes v an integer that fits into d; fractions are cut off.
func toInt(d tensor.DType, v Value) (int64, error) {
	width := uint(8 * d.BlockBytes())
	lo, hi := int64(-1)<<(width-1), int64(1)<<(width-1)-1
	n, ok := v.(int64)
	if !ok {
		f := math.Trunc(toFloat(v))
		if !(f >= float64(lo) && f < -float64(lo)) {
			return 0, fmt.Errorf("%v does not fit in %s (%d to %d)", v, d, lo, hi)
		}
		n = int64(f)
	}
	if n < lo || n > hi {
		return 0, fmt.Errorf("%d does not fit in %s (%d to %d)", n, d, lo, hi)
	}
	return n, nil
}

func isInt(d tensor.DType) bool { return d >= tensor.I8 && d <= tensor.I64 }

// exact says whether float32 holds v.
func exact(v Value) bool {
	switch v := v.(type) {
	case int64:
		return v == int64(float32(v)) && v > -1<<62 && v < 1<<62
	case float64:
		return float64(float32(v)) == v || v != v
	}
	return true
}
