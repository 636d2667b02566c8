package engine

import "github.com/llcuda/llcuda/tensor"

// Qwen 3, the dense models (Yang et al. 2025): Llama's layer with a norm of
// each query and key head before the rotation.

func init() { register("qwen3", architecture{readQwen3, qwen3Block}) }

func readQwen3(r *reader) *network {
	n := r.network()
	rope, attend := r.rope(n, true), n.attention()
	window, local := r.window(0), r.local(len(n.layers), 1)
	for i := range n.layers {
		l := &n.layers[i]
		l.rope, l.attend = rope, attend
		if local[i] {
			l.attend.Window = window
		}
		r.in(i)
		r.attention(n, l)
		r.vector(&l.qNorm, "attn_q_norm.weight", n.headDim)
		r.vector(&l.kNorm, "attn_k_norm.weight", n.headDim)
		r.feedForward(n, l)
	}
	return n
}

func qwen3Block(s *tensor.Stream, b *batch, l *layer, c cache) {
	s.RMSNorm(b.h, b.x, l.attnNorm, b.eps)
	b.matmul(s, b.q, l.wq, b.h)
	b.matmul(s, b.k, l.wk, b.h)
	b.matmul(s, b.v, l.wv, b.h)
	addBias(s, b.q, l.bq)
	addBias(s, b.k, l.bk)
	addBias(s, b.v, l.bv)
	s.RMSNorm(b.qHeads, b.qHeads, l.qNorm, b.eps)
	s.RMSNorm(b.kHeads, b.kHeads, l.kNorm, b.eps)
	s.RoPE(b.qHeads, b.qHeads, b.pos, l.factors, l.rope)
	s.RoPE(b.kHeads, b.kHeads, b.pos, l.factors, l.rope)
	s.Store(c.k, b.k, b.pos)
	s.Store(c.v, b.v, b.pos)
	s.Attention(b.att, b.q, c.k, c.v, b.pos, l.attend)
	b.matmul(s, b.h, l.wo, b.att)
	s.Add(b.x, b.x, b.h)

	s.RMSNorm(b.h, b.x, l.ffnNorm, b.eps)
	b.matmul(s, b.gate, l.gate, b.h)
	b.matmul(s, b.up, l.up, b.h)
	s.GLU(b.gate, b.gate, b.up, tensor.SiLU)
	b.matmul(s, b.h, l.down, b.gate)
	s.Add(b.x, b.x, b.h)
}
