package kernels

// What is not there yet. Whoever writes one of these deletes its line here; the
// file goes when it is empty.

import "github.com/llcuda/llcuda/tensor"

const notYet = "not there yet"

func (d *Device) matMul(op *tensor.Op) error    { return d.refuse(op, notYet) }
func (d *Device) rows(op *tensor.Op) error      { return d.refuse(op, notYet) }
func (d *Device) rmsNorm(op *tensor.Op) error   { return d.refuse(op, notYet) }
func (d *Device) layerNorm(op *tensor.Op) error { return d.refuse(op, notYet) }
func (d *Device) rope(op *tensor.Op) error      { return d.refuse(op, notYet) }
func (d *Device) attention(op *tensor.Op) error { return d.refuse(op, notYet) }
func (d *Device) glu(op *tensor.Op) error       { return d.refuse(op, notYet) }
func (d *Device) unary(op *tensor.Op) error     { return d.refuse(op, notYet) }
func (d *Device) binary(op *tensor.Op) error    { return d.refuse(op, notYet) }
func (d *Device) scale(op *tensor.Op) error     { return d.refuse(op, notYet) }
func (d *Device) softmax(op *tensor.Op) error   { return d.refuse(op, notYet) }
func (d *Device) reduce(op *tensor.Op) error    { return d.refuse(op, notYet) }
func (d *Device) argMax(op *tensor.Op) error    { return d.refuse(op, notYet) }
func (d *Device) topK(op *tensor.Op) error      { return d.refuse(op, notYet) }
func (d *Device) convert(op *tensor.Op) error   { return d.refuse(op, notYet) }
func (d *Device) transpose(op *tensor.Op) error { return d.refuse(op, notYet) }
func (d *Device) fill(op *tensor.Op) error      { return d.refuse(op, notYet) }
func (d *Device) random(op *tensor.Op) error    { return d.refuse(op, notYet) }

// fuse (fuse.go): nil, nil when a graph shall do it.
func (d *Device) fuse(ops []tensor.Op) (tensor.Program, error) { return nil, nil }
