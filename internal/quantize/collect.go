package quantize

import (
	"slices"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// A Collector is a device that looks at the products that go through it to
// another one, and sums up what their matrices are multiplied by. Models
// computed on it run as they do on the other, and one operation after the other.
// It is used by one goroutine, as a stream is.
type Collector struct {
	tensor.Device
	sums map[string]*columns
	raw  []byte
	x    []float32
}

// Collect makes a Collector in front of dev.
func Collect(dev tensor.Device) *Collector {
	return &Collector{Device: dev, sums: map[string]*columns{}}
}

// On is a Collector in front of another device that adds to the same sums: a
// model may be spread over several.
func (c *Collector) On(dev tensor.Device) *Collector { return &Collector{Device: dev, sums: c.sums} }

// Importance is what was seen of so many chunks of a text.
func (c *Collector) Importance(text string, chunks, tokens int) *Importance {
	return &Importance{Texts: []string{text}, Chunks: chunks, Tokens: tokens, sums: c.sums}
}

// New makes a tensor of the other device that streams take for one of this.
func (c *Collector) New(d tensor.DType, shape ...int) (*tensor.Tensor, error) {
	return c.ours(c.Device.New(d, shape...))
}

// Place is New for constant numbers.
func (c *Collector) Place(name string, d tensor.DType, shape []int, data []byte) (*tensor.Tensor, error) {
	return c.ours(c.Device.Place(name, d, shape, data))
}

func (c *Collector) ours(t *tensor.Tensor, err error) (*tensor.Tensor, error) {
	if err == nil {
		t.Device = c
	}
	return t, err
}

// Free returns what New or Place took.
func (c *Collector) Free(t *tensor.Tensor) {
	if t != nil {
		t.Device = c.Device
	}
	c.Device.Free(t)
}

// Compile leaves the operations one by one, so that Do sees them.
func (c *Collector) Compile(ops []tensor.Op) (tensor.Program, error) {
	return tensor.Replay(c, ops), nil
}

// Do issues the operation; of a product with a layer's matrix it reads the
// numbers that come in.
func (c *Collector) Do(op *tensor.Op) error {
	if op.Kind == tensor.OpMatMul && strings.HasPrefix(op.A.Name, "blk.") && strings.HasSuffix(op.A.Name, ".weight") {
		if err := c.add(op.A.Name, op.B); err != nil {
			return err
		}
	}
	return c.Device.Do(op)
}

// add adds the squares of x's numbers, column by column.
func (c *Collector) add(name string, x *tensor.Tensor) error {
	cols := x.Cols()
	s := c.sums[name]
	if s == nil {
		s = &columns{make([]float64, cols), make([]float64, 1)}
		c.sums[name] = s
	}
	c.raw = slices.Grow(c.raw[:0], x.Bytes())[:x.Bytes()]
	c.x = slices.Grow(c.x[:0], x.Len())[:x.Len()]
	if err := c.Device.Read(c.raw, x); err != nil {
		return err
	}
	x.DType.Decode(c.x, c.raw)
	for row := c.x; len(row) >= cols; row = row[cols:] {
		for i, v := range row[:cols] {
			s.sum[i] += float64(v) * float64(v)
		}
		s.count[0]++
	}
	return nil
}
