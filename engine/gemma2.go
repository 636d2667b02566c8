package engine

import (
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// Gemma 2 (Gemma Team 2024, arXiv:2408.00118): norms before and after each
// half of a layer, softcaps of scores and logits, every other layer with a
// sliding window. The files hold norms with their 1 added.

func init() { register("gemma2", architecture{readGemma2, gemma2Block}) }

func readGemma2(r *reader) *network {
	n := r.network()
	n.embedScale = float32(math.Sqrt(float64(n.dim)))
	n.softcap = float32(r.float("final_logit_softcapping", 30))
	rope, attend := r.rope(n, true), n.attention()
	attend.Scale = r.gemmaScale(n, 46)
	attend.Softcap = float32(r.float("attn_logit_softcapping", 50))
	window, local := r.window(4096), r.local(len(n.layers), 2)
	for i := range n.layers {
		l := &n.layers[i]
		l.rope, l.attend = rope, attend
		if local[i] {
			l.attend.Window = window
		}
		r.in(i)
		r.attention(n, l)
		r.vector(&l.attnPostNorm, "post_attention_norm.weight", n.dim)
		r.feedForward(n, l)
		r.vector(&l.ffnPostNorm, "post_ffw_norm.weight", n.dim)
	}
	return n
}

func gemma2Block(s *tensor.Stream, b *batch, l *layer, c cache) {
	s.RMSNorm(b.h, b.x, l.attnNorm, b.eps)
	b.matmul(s, b.q, l.wq, b.h)
	b.matmul(s, b.k, l.wk, b.h)
	b.matmul(s, b.v, l.wv, b.h)
	s.RoPE(b.qHeads, b.qHeads, b.pos, nil, l.rope)
	s.RoPE(b.kHeads, b.kHeads, b.pos, nil, l.rope)
	s.Store(c.k, b.k, b.pos)
	s.Store(c.v, b.v, b.pos)
	s.Attention(b.att, b.q, c.k, c.v, b.pos, l.attend)
	b.matmul(s, b.h, l.wo, b.att)
	s.RMSNorm(b.h, b.h, l.attnPostNorm, b.eps)
	s.Add(b.x, b.x, b.h)

	s.RMSNorm(b.h, b.x, l.ffnNorm, b.eps)
	b.matmul(s, b.gate, l.gate, b.h)
	b.matmul(s, b.up, l.up, b.h)
	s.GLU(b.gate, b.gate, b.up, tensor.GELU)
	b.matmul(s, b.h, l.down, b.gate)
	s.RMSNorm(b.h, b.h, l.ffnPostNorm, b.eps)
	s.Add(b.x, b.x, b.h)
}
