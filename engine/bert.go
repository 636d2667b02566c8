package engine

import (
	"fmt"
	"math"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// BERT (Devlin et al. 2019) and the models for retrieval that have its shape:
// MiniLM, BGE, E5, GTE. Each token sees the whole text; norms come after each
// half of a layer; positions are embeddings. Nomic's (Nussbaum et al. 2024)
// turn queries and keys instead, and gate the feed-forward network. Tensors
// and keys: llama.cpp's src/models/bert.cpp. GELU is the exact one, as in the
// models' own code; llama.cpp takes the approximation by tanh.

func init() {
	register("bert", architecture{readBERT, bertBlock})
	register("nomic-bert", architecture{readNomicBERT, bertBlock})
}

func readBERT(r *reader) *network {
	n := r.encoder()
	if r.err != nil {
		return n
	}
	r.matrix(&n.positions, "position_embd.weight", n.trained, n.dim)
	for i := range n.layers {
		l := &n.layers[i]
		r.in(i)
		r.matrix(&l.wq, "attn_q.weight", n.qDim(), n.dim)
		r.matrix(&l.wk, "attn_k.weight", n.kvDim(), n.dim)
		r.matrix(&l.wv, "attn_v.weight", n.kvDim(), n.dim)
		r.vector(&l.bq, "attn_q.bias", n.qDim())
		r.vector(&l.bk, "attn_k.bias", n.kvDim())
		r.vector(&l.bv, "attn_v.bias", n.kvDim())
		r.vector(&l.bo, "attn_output.bias", n.dim)
		r.vector(&l.bup, "ffn_up.bias", n.ffn)
		r.vector(&l.bdown, "ffn_down.bias", n.dim)
	}
	return n
}

func readNomicBERT(r *reader) *network {
	n := r.encoder()
	if r.err != nil {
		return n
	}
	rope := r.rope(n, true)
	q, kv := n.qDim(), n.kvDim()
	for i := range n.layers {
		l := &n.layers[i]
		l.rope = rope
		r.in(i)
		r.rows(&l.wq, "attn_qkv.weight", q+2*kv, n.dim, 0, q)
		r.rows(&l.wk, "attn_qkv.weight", q+2*kv, n.dim, q, q+kv)
		r.rows(&l.wv, "attn_qkv.weight", q+2*kv, n.dim, q+kv, q+2*kv)
		r.matrix(&l.gate, "ffn_gate.weight", n.ffn, n.dim)
	}
	return n
}

// encoder reads what both have.
func (r *reader) encoder() *network {
	n := r.body("attention.layer_norm_epsilon")
	if r.causal(false) && r.err == nil {
		r.err = fmt.Errorf("engine: a model of architecture %s whose tokens see only those before (%s.attention.causal) is not supported; take another model", r.arch, r.arch)
	}
	if r.err != nil {
		return n
	}
	n.encoder = true
	if n.pooling == 0 {
		n.pooling = MeanPooling
	}
	if t := r.f.Tensor("token_types.weight"); t != nil {
		r.firstRow(&n.segment, t)
	}
	r.vector(&n.embedNorm, "token_embd_norm.weight", n.dim)
	r.vector(&n.embedNormBias, "token_embd_norm.bias", n.dim)
	attend := n.attention()
	for i := range n.layers {
		l := &n.layers[i]
		l.attend = attend
		r.in(i)
		r.matrix(&l.wo, "attn_output.weight", n.dim, n.qDim())
		r.vector(&l.attnPostNorm, "attn_output_norm.weight", n.dim)
		r.vector(&l.attnPostNormBias, "attn_output_norm.bias", n.dim)
		r.matrix(&l.up, "ffn_up.weight", n.ffn, n.dim)
		r.matrix(&l.down, "ffn_down.weight", n.dim, n.ffn)
		r.vector(&l.ffnPostNorm, "layer_output_norm.weight", n.dim)
		r.vector(&l.ffnPostNormBias, "layer_output_norm.bias", n.dim)
	}
	r.prefix = ""
	return n
}

// firstRow takes the embedding of the first segment, the only one of a single
// text, from those of all segments.
func (r *reader) firstRow(dst **tensor.Tensor, t *gguf.Tensor) {
	dim := r.int("embedding_length", must, 1, maxDim)
	if n := len(t.Shape); n == 0 || n > 2 || t.Shape[n-1] != dim || t.Shape[0] == 0 {
		r.fail("tensor %q has shape %v, want rows of %d", t.Name, t.Shape, dim)
		return
	}
	if t = r.find(t.Name, t.Shape...); t != nil {
		r.floats(dst, t, dim)
	}
}

// embedTexts makes the residual stream of the tokens that b.x has: positions
// and segment are added, and the sum is normed.
func (n *network) embedTexts(s *tensor.Stream, b *batch) {
	if n.positions != nil {
		s.Rows(b.h, n.positions, b.pos)
		s.Add(b.x, b.x, b.h)
	}
	if n.segment != nil {
		s.Add(b.x, b.x, n.segment)
	}
	s.LayerNorm(b.x, b.x, n.embedNorm, n.embedNormBias, n.eps)
}

func bertBlock(s *tensor.Stream, b *batch, l *layer, c cache) {
	b.matmul(s, b.q, l.wq, b.x)
	b.matmul(s, b.k, l.wk, b.x)
	b.matmul(s, b.v, l.wv, b.x)
	addBias(s, b.q, l.bq)
	addBias(s, b.k, l.bk)
	addBias(s, b.v, l.bv)
	if l.rope.Dims > 0 {
		s.RoPE(b.qHeads, b.qHeads, b.pos, nil, l.rope)
		s.RoPE(b.kHeads, b.kHeads, b.pos, nil, l.rope)
	}
	// One text after the other in the same cache. That each query is at its
	// text's last position lets it see the whole of it.
	lo := 0
	for _, hi := range b.ends {
		pos := b.pos.Slice(lo, hi)
		s.Store(c.k, b.k.Slice(lo, hi), pos)
		s.Store(c.v, b.v.Slice(lo, hi), pos)
		s.Attention(b.att.Slice(lo, hi), b.q.Slice(lo, hi), c.k, c.v, b.last.Slice(lo, hi), l.attend)
		lo = hi
	}
	b.matmul(s, b.h, l.wo, b.att)
	addBias(s, b.h, l.bo)
	s.Add(b.x, b.x, b.h)
	s.LayerNorm(b.x, b.x, l.attnPostNorm, l.attnPostNormBias, b.eps)

	b.matmul(s, b.up, l.up, b.x)
	if l.gate == nil {
		addBias(s, b.up, l.bup)
		s.Unary(b.up, b.up, tensor.GELUErf)
	} else {
		b.matmul(s, b.gate, l.gate, b.x)
		s.GLU(b.up, b.gate, b.up, tensor.SiLU)
	}
	b.matmul(s, b.h, l.down, b.up)
	addBias(s, b.h, l.bdown)
	s.Add(b.x, b.x, b.h)
	s.LayerNorm(b.x, b.x, l.ffnPostNorm, l.ffnPostNormBias, b.eps)
}

// causal says whether tokens see only those before them.
func (r *reader) causal(def bool) bool {
	key := r.arch + ".attention.causal"
	v, ok := r.f.Value(key)
	if !ok {
		return def
	}
	b, ok := v.(bool)
	if !ok {
		r.fail("key %q holds %T, want bool", key, v)
	}
	return b
}

// pooling is how the file says that a vector is made of the tokens of a text.
func (r *reader) pooling() Pooling {
	const rank = 4
	switch v := r.int("pooling_type", 0, 0, math.MaxUint32); v {
	case rank:
		if r.err == nil {
			r.err = fmt.Errorf("engine: a model that ranks pairs of texts (%s.pooling_type is %d) is not supported; take an embedding model", r.arch, rank)
		}
	default:
		if v < int(MeanPooling) && v != 0 || v > int(LastPooling) {
			r.fail("key %q is %d, want 1 (mean), 2 (cls), 3 (last) or 0 (unsaid)", r.arch+".pooling_type", v)
		}
		return Pooling(v)
	}
	return 0
}
