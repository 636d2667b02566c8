package cpu

import (
	"fmt"

	"github.com/llcuda/llcuda/tensor"
)

// sequences are those that the rows of an operation belong to.
type sequences struct {
	seq   *tensor.Tensor // nil: one sequence
	count int
}

func newSequences(op *tensor.Op) sequences { return sequences{op.Seq, max(1, op.Seqs)} }

// rows is how many rows of a cache a sequence has.
func (s sequences) rows(cache *tensor.Tensor) int { return cache.Rows() / s.count }

// of is the sequence of row i, -1 for none.
func (s sequences) of(i int) (int, error) {
	if s.seq == nil {
		return 0, nil
	}
	n := int(i32s(s.seq)[i])
	if n < -1 || n >= s.count {
		return 0, fmt.Errorf("sequence %d of row %d: there are %d", n, i, s.count)
	}
	return n, nil
}

func (s sequences) data() []byte {
	if s.seq == nil {
		return nil
	}
	return s.seq.Data
}
