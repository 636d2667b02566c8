package engine

import "github.com/llcuda/llcuda/tensor"

// Llama 1 to 3 (Touvron et al. 2023, Grattafiori et al. 2024), and what has
// the same shape: Mistral, SmolLM2, TinyLlama, Yi. Llama 3.1 and later bring
// frequency factors (rope_freqs.weight), Mistral 7B v0.1 has a sliding window.

func init() { register("llama", architecture{readLlama, llamaBlock}) }

func readLlama(r *reader) *network {
	n := r.network()
	rope, attend := r.rope(n, false), n.attention()
	attend.Window = r.window(0)
	if s := r.float("attention.scale", 0); s != 0 {
		attend.Scale = float32(s)
	}
	r.factors(n, rope.Dims)
	for i := range n.layers {
		l := &n.layers[i]
		l.rope, l.attend = rope, attend
		r.in(i)
		r.attention(n, l)
		r.optional(&l.bo, "attn_output.bias", n.dim)
		r.feedForward(n, l)
	}
	return n
}

func llamaBlock(s *tensor.Stream, b *batch, l *layer, c cache) {
	s.RMSNorm(b.h, b.x, l.attnNorm, b.eps)
	b.matmul(s, b.q, l.wq, b.h)
	b.matmul(s, b.k, l.wk, b.h)
	b.matmul(s, b.v, l.wv, b.h)
	addBias(s, b.q, l.bq)
	addBias(s, b.k, l.bk)
	addBias(s, b.v, l.bv)
	s.RoPE(b.qHeads, b.qHeads, b.pos, l.factors, l.rope)
	s.RoPE(b.kHeads, b.kHeads, b.pos, l.factors, l.rope)
	s.Store(c.k, b.k, b.pos)
	s.Store(c.v, b.v, b.pos)
	s.Attention(b.att, b.q, c.k, c.v, b.pos, l.attend)
	b.matmul(s, b.h, l.wo, b.att)
	addBias(s, b.h, l.bo)
	s.Add(b.x, b.x, b.h)

	s.RMSNorm(b.h, b.x, l.ffnNorm, b.eps)
	b.matmul(s, b.gate, l.gate, b.h)
	b.matmul(s, b.up, l.up, b.h)
	s.GLU(b.gate, b.gate, b.up, tensor.SiLU)
	b.matmul(s, b.h, l.down, b.gate)
	s.Add(b.x, b.x, b.h)
}
