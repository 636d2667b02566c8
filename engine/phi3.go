package engine

import "github.com/llcuda/llcuda/tensor"

// Phi 3 and 4-mini (Abdin et al. 2024): Llama's layer with q, k and v in one
// weight and gate and up in another; long contexts by longrope factors. Its
// window is applied, as the models' authors do; llama.cpp leaves it out.

func init() { register("phi3", architecture{readPhi3, phi3Block}) }

func readPhi3(r *reader) *network {
	n := r.network()
	rope, attend := r.rope(n, true), n.attention()
	attend.Window = r.window(0)
	r.factors(n, rope.Dims)
	q, kv := n.qDim(), n.kvDim()
	for i := range n.layers {
		l := &n.layers[i]
		l.rope, l.attend = rope, attend
		r.in(i)
		r.vector(&l.attnNorm, "attn_norm.weight", n.dim)
		r.rows(&l.wq, "attn_qkv.weight", q+2*kv, n.dim, 0, q)
		r.rows(&l.wk, "attn_qkv.weight", q+2*kv, n.dim, q, q+kv)
		r.rows(&l.wv, "attn_qkv.weight", q+2*kv, n.dim, q+kv, q+2*kv)
		r.matrix(&l.wo, "attn_output.weight", n.dim, q)
		r.vector(&l.ffnNorm, "ffn_norm.weight", n.dim)
		r.rows(&l.gate, "ffn_up.weight", 2*n.ffn, n.dim, 0, n.ffn)
		r.rows(&l.up, "ffn_up.weight", 2*n.ffn, n.dim, n.ffn, 2*n.ffn)
		r.matrix(&l.down, "ffn_down.weight", n.dim, n.ffn)
	}
	return n
}

func phi3Block(s *tensor.Stream, b *batch, l *layer, c cache) {
	s.RMSNorm(b.h, b.x, l.attnNorm, b.eps)
	b.matmul(s, b.q, l.wq, b.h)
	b.matmul(s, b.k, l.wk, b.h)
	b.matmul(s, b.v, l.wv, b.h)
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
