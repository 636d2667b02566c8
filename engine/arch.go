package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// An architecture is how one family of models is read and computed. Its file
// registers it under the name that general.architecture has.
type architecture struct {
	// read takes hyper-parameters and weights; what it does not ask for must
	// not be in the file.
	read func(r *reader) *network

	// block issues one layer: it adds the layer's results to b.x. Everything
	// between is the batch's scratch memory.
	block func(s *tensor.Stream, b *batch, l *layer, c cache)
}

var architectures = map[string]architecture{}

func register(name string, a architecture) { architectures[name] = a }

// Architectures lists the names of the architectures that Load knows.
func Architectures() []string { return slices.Sorted(maps.Keys(architectures)) }

func findArchitecture(name string) (architecture, error) {
	a, ok := architectures[name]
	if !ok {
		return a, fmt.Errorf("engine: %w %q; llcuda has %s", ErrArch, name, strings.Join(Architectures(), ", "))
	}
	return a, nil
}

// A network is the hyper-parameters and the weights of a model. Weights lie on
// the devices once the model is loaded; biases and norms are f32.
type network struct {
	hyper
	embed      *tensor.Tensor // (vocab, dim)
	outputNorm *tensor.Tensor // (dim); an encoder has no output
	output     *tensor.Tensor // (vocab, dim); embed when the file has none
	embedScale float32        // of the embedded tokens
	softcap    float32        // of the logits; 0 is off
	layers     []layer

	// An encoder reads a whole text at once and continues none.
	encoder                  bool
	pooling                  Pooling        // never 0
	positions                *tensor.Tensor // (trained, dim), or nil
	segment                  *tensor.Tensor // (dim), or nil
	embedNorm, embedNormBias *tensor.Tensor // (dim)
}

// A layer has the weights that its architecture uses; others are nil. q stands
// for heads*headDim, kv for kvHeads*headDim.
type layer struct {
	attnNorm     *tensor.Tensor // (dim)
	wq           *tensor.Tensor // (q, dim)
	wk, wv       *tensor.Tensor // (kv, dim)
	bq           *tensor.Tensor // (q)
	bk, bv       *tensor.Tensor // (kv)
	qNorm, kNorm *tensor.Tensor // (headDim)
	wo           *tensor.Tensor // (dim, q)
	bo           *tensor.Tensor // (dim)
	attnPostNorm *tensor.Tensor // (dim)
	bup, bdown   *tensor.Tensor // (ffn), (dim)

	ffnNorm     *tensor.Tensor // (dim)
	gate, up    *tensor.Tensor // (ffn, dim)
	down        *tensor.Tensor // (dim, ffn)
	ffnPostNorm *tensor.Tensor // (dim)

	attnPostNormBias, ffnPostNormBias *tensor.Tensor // (dim)

	rope    tensor.Rope
	factors *tensor.Tensor // (rope.Dims/2), or nil
	attend  tensor.Attend
}

// forward issues the way through the layers lo to hi, from the tokens b.ids at
// b.pos if lo is 0, and else from b.x, to the residual stream b.x after them.
// It asks stop before each layer.
func (n *network) forward(a architecture, s *tensor.Stream, b *batch, lo, hi int, stop func() error) error {
	s.Sequences(b.seq, b.seqs)
	if lo == 0 {
		b.adapting.rows(s, b.x, n.embed, b.ids)
		if n.embedScale != 1 {
			s.Scale(b.x, b.x, n.embedScale)
		}
		if n.encoder {
			n.embedTexts(s, b)
		}
	}
	for i := lo; i < hi; i++ {
		if err := stop(); err != nil {
			return err
		}
		a.block(s, b, &n.layers[i], b.cache[i])
	}
	return s.Err()
}

// head issues logits (n, vocab) of the residual stream x (n, dim), with h of
// x's shape as scratch memory.
func (n *network) head(s *tensor.Stream, a *adapting, logits, x, h *tensor.Tensor) {
	s.RMSNorm(h, x, n.outputNorm, n.eps)
	a.matmul(s, logits, n.output, h)
	if n.softcap != 0 {
		s.Cap(logits, logits, n.softcap)
	}
}

// addBias adds b (cols) to every row of x, if the model has that bias.
func addBias(s *tensor.Stream, x, b *tensor.Tensor) {
	if b != nil {
		s.Add(x, x, b)
	}
}
