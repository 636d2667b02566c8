package engine

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// hyper holds the hyper-parameters that all architectures have.
type hyper struct {
	dim     int // embedding_length
	ffn     int // feed_forward_length
	heads   int // attention.head_count
	kvHeads int // attention.head_count_kv
	headDim int // attention.key_length
	vocab   int
	trained int // context_length: tokens in training
	context int // tokens in a session
	eps     float32
}

func (h *hyper) qDim() int  { return h.heads * h.headDim }
func (h *hyper) kvDim() int { return h.kvHeads * h.headDim }

// attention is what the paper says (Vaswani et al. 2017): 1/√headDim, all keys.
func (h *hyper) attention() tensor.Attend {
	return tensor.Attend{Heads: h.heads, KVHeads: h.kvHeads, Scale: float32(1 / math.Sqrt(float64(h.headDim)))}
}

// network reads the hyper-parameters and the weights outside the layers of a
// model that continues texts, and makes the layers. After an error it has none.
func (r *reader) network() *network {
	n := r.body("attention.layer_norm_rms_epsilon")
	if !r.causal(true) && r.err == nil {
		r.err = fmt.Errorf("engine: a model of architecture %s whose tokens see the whole text (%s.attention.causal) is not supported; take another model", r.arch, r.arch)
	}
	if r.err != nil {
		return n
	}
	if n.pooling == 0 {
		n.pooling = LastPooling
	}
	if r.f.Tensor("output.weight") == nil {
		r.share(&n.output)
	} else {
		r.matrix(&n.output, "output.weight", n.vocab, n.dim)
	}
	r.vector(&n.outputNorm, "output_norm.weight", n.dim)
	return n
}

// body reads the hyper-parameters and the embedding, and makes the layers.
// epsilon is the key of the norms' smallest variance. After an error it has no
// layers.
func (r *reader) body(epsilon string) *network {
	layers := r.int("block_count", must, 1, maxLayers)
	if have := r.blocks(); r.err == nil && have != layers {
		r.fail("key %q is %d, but the file has the tensors of %d layers", r.arch+".block_count", layers, have)
	}
	n := &network{hyper: r.hyper(layers, epsilon), embedScale: 1, pooling: r.pooling()}
	if r.err != nil {
		return n
	}
	n.layers = make([]layer, layers)
	r.matrix(&n.embed, "token_embd.weight", n.vocab, n.dim)
	return n
}

func (r *reader) hyper(layers int, epsilon string) hyper {
	h := hyper{vocab: r.vocab}
	h.dim = r.int("embedding_length", must, 1, maxDim)
	h.ffn = r.perLayer("feed_forward_length", layers, must, 1, maxDim)
	h.heads = r.perLayer("attention.head_count", layers, must, 1, maxDim)
	h.kvHeads = r.perLayer("attention.head_count_kv", layers, h.heads, 1, maxDim)
	h.trained = r.int("context_length", must, 1, math.MaxUint32)
	h.eps = float32(r.float(epsilon, must))
	if v := r.int("vocab_size", r.vocab, 0, maxVocab); v != r.vocab {
		r.fail("key %q is %d, but the vocabulary has %d entries", r.arch+".vocab_size", v, r.vocab)
	}
	if r.err != nil {
		return h
	}
	if h.heads%h.kvHeads != 0 {
		r.fail("%d heads do not share %d key and value heads evenly", h.heads, h.kvHeads)
		return h
	}
	if h.dim%h.heads != 0 {
		h.headDim = r.int("attention.key_length", must, 1, maxDim)
	} else {
		h.headDim = r.int("attention.key_length", h.dim/h.heads, 1, maxDim)
	}
	if v := r.int("attention.value_length", h.headDim, 1, maxDim); v != h.headDim {
		r.fail("values of length %d beside keys of length %d are not supported", v, h.headDim)
	}
	if h.heads > maxDim/h.headDim {
		r.fail("%d heads of length %d are too many", h.heads, h.headDim)
	}
	h.context = r.context
	if h.context == 0 {
		h.context = min(defaultContext, h.trained)
	}
	if h.context > h.trained && r.err == nil {
		r.err = fmt.Errorf("engine: context %d: the model was trained for %d tokens; take at most that", h.context, h.trained)
	}
	return h
}

// blocks counts the layers that the file has tensors of.
func (r *reader) blocks() int {
	n := 0
	for i := range r.f.Tensors {
		rest, ok := strings.CutPrefix(r.f.Tensors[i].Name, "blk.")
		number, _, _ := strings.Cut(rest, ".")
		if v, err := strconv.Atoi(number); ok && err == nil {
			n = max(n, v+1)
		}
	}
	return n
}

// attention takes the projections of layer l, with their biases if there are
// some, and its norm.
func (r *reader) attention(n *network, l *layer) {
	r.vector(&l.attnNorm, "attn_norm.weight", n.dim)
	r.matrix(&l.wq, "attn_q.weight", n.qDim(), n.dim)
	r.matrix(&l.wk, "attn_k.weight", n.kvDim(), n.dim)
	r.matrix(&l.wv, "attn_v.weight", n.kvDim(), n.dim)
	r.optional(&l.bq, "attn_q.bias", n.qDim())
	r.optional(&l.bk, "attn_k.bias", n.kvDim())
	r.optional(&l.bv, "attn_v.bias", n.kvDim())
	r.matrix(&l.wo, "attn_output.weight", n.dim, n.qDim())
}

// feedForward takes the gated feed-forward network of layer l and its norm.
func (r *reader) feedForward(n *network, l *layer) {
	r.vector(&l.ffnNorm, "ffn_norm.weight", n.dim)
	r.matrix(&l.gate, "ffn_gate.weight", n.ffn, n.dim)
	r.matrix(&l.up, "ffn_up.weight", n.ffn, n.dim)
	r.matrix(&l.down, "ffn_down.weight", n.dim, n.ffn)
}
