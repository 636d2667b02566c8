package expr

import (
	"fmt"

	"github.com/llcuda/llcuda/tensor"
)

// convert gives a the type d.
func (r *run) convert(a *Array, d tensor.DType) (*Array, error) {
	from := a.DType()
	if from == d {
		return a, nil
	}
	if !d.CanEncode() {
		return nil, fmt.Errorf("%s can be read but not written: its encoder needs a training set; take another type", d)
	}
	if a.flip { // rows become columns: lay them out before they are cut into blocks
		var err error
		if a, err = r.plain(a); err != nil {
			return nil, err
		}
		if a.DType() == d {
			return a, nil
		}
	}
	out, err := r.alloc(a.Device(), d, a.t.Shape...)
	if err != nil || out.t.Len() == 0 {
		return out, err
	}
	s := r.stream(a.Device())
	s.Convert(out.t, a.t)
	return out, s.Err()
}

// plain gives a in a type whose numbers stand alone, laid out in row order.
func (r *run) plain(a *Array) (*Array, error) {
	if a.DType().Quantised() {
		flip := a.flip
		b, err := r.convert(&Array{t: a.t, base: a.base}, tensor.F32)
		if err != nil {
			return nil, err
		}
		a = &Array{t: b.t, base: b.base, flip: flip}
	}
	if !a.flip {
		return a, nil
	}
	return r.transpose(a.t)
}

// transpose moves the numbers of t, of a plain type and two dimensions.
func (r *run) transpose(t *tensor.Tensor) (*Array, error) {
	out, err := r.alloc(t.Device, t.DType, t.Shape[1], t.Shape[0])
	if err != nil || t.Len() == 0 {
		return out, err
	}
	s := r.stream(t.Device)
	s.Transpose(out.t, t)
	return out, s.Err()
}

// rows gives a laid out in row order, of any type: only the transpose of a
// quantised tensor has to become f32.
func (r *run) rows(a *Array) (*Array, error) {
	if !a.flip {
		return a, nil
	}
	return r.plain(a)
}

// reshape gives the same numbers another shape.
func (r *run) reshape(a *Array, shape []int) (*Array, error) {
	a, err := r.rows(a)
	if err != nil {
		return nil, err
	}
	if d := a.DType(); d.Quantised() && (len(shape) == 0 || shape[len(shape)-1]%d.BlockLen() != 0) {
		if a, err = r.plain(a); err != nil {
			return nil, err
		}
	}
	return &Array{t: a.t.Reshape(shape...), base: a.base}, nil
}

// move gives a on another device.
func (r *run) move(a *Array, dev tensor.Device) (*Array, error) {
	if a.Device() == dev {
		return a, nil
	}
	raw, err := read(a.t)
	if err != nil {
		return nil, err
	}
	b, err := r.placeBytes(dev, a.DType(), raw, a.t.Shape...)
	if err != nil {
		return nil, err
	}
	b.flip = a.flip
	return b, nil
}

// to is A.to(what): a type, a device, or either's name.
func (r *run) to(a *Array, what Value) (*Array, error) {
	if id, ok := what.(string); ok {
		if d, err := tensor.ParseDType(id); err == nil {
			what = d
		} else if dev := r.device(id); dev != nil {
			what = dev
		}
	}
	switch what := what.(type) {
	case tensor.DType:
		return r.convert(a, what)
	case tensor.Device:
		return r.move(a, what)
	case string:
		if isCard(what) {
			return nil, r.noDevice(what)
		}
	}
	return nil, fmt.Errorf("to: %s is neither a type (%s) nor a device (%s)", r.brief(what), "f32, f16, q4_k, …", r.deviceNames())
}

// copy gives a memory of its own.
func (r *run) copy(a *Array) (*Array, error) {
	out, err := r.alloc(a.Device(), a.DType(), a.t.Shape...)
	if err != nil || out.t.Len() == 0 {
		return out, err
	}
	s := r.stream(a.Device())
	s.Convert(out.t, a.t)
	out.flip = a.flip
	return out, s.Err()
}

func (r *run) deviceNames() (names string) {
	for i, d := range r.Devices {
		if i > 0 {
			names += ", "
		}
		names += d.Name()
	}
	return names
}
