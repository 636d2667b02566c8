package engine

import (
	"math"

	"github.com/llcuda/llcuda/tensor"
)

// Gemma 3 (Gemma Team 2025, arXiv:2503.19786): Gemma 2's layer with norms of
// query and key heads in the place of softcaps; five local layers, whose
// rotation has a base of its own, for each global one. The files hold norms
// with their 1 added.

func init() { register("gemma3", architecture{readGemma3, gemma3Block}) }

func readGemma3(r *reader) *network {
	n := r.network()
	n.embedScale = float32(math.Sqrt(float64(n.dim)))
	n.softcap = float32(r.float("final_logit_softcapping", 0))
	rope, attend := r.rope(n, true), n.attention()
	attend.Scale = r.gemmaScale(n, 62)

	localRope := tensor.Rope{Dims: rope.Dims, NeoX: true, Scale: 1, AttnMul: 1}
	localRope.Base = r.positive("rope.local.freq_base", r.positive("rope.freq_base_swa", 10000))
	window, local := r.window(0), r.local(len(n.layers), 6)
	for i := range n.layers {
		l := &n.layers[i]
		l.rope, l.attend = rope, attend
		if window > 0 && local[i] {
			l.rope, l.attend.Window = localRope, window
		}
		r.in(i)
		r.attention(n, l)
		r.vector(&l.qNorm, "attn_q_norm.weight", n.headDim)
		r.vector(&l.kNorm, "attn_k_norm.weight", n.headDim)
		r.vector(&l.attnPostNorm, "post_attention_norm.weight", n.dim)
		r.feedForward(n, l)
		r.vector(&l.ffnPostNorm, "post_ffw_norm.weight", n.dim)
	}
	return n
}

func gemma3Block(s *tensor.Stream, b *batch, l *layer, c cache) {
	s.RMSNorm(b.h, b.x, l.attnNorm, b.eps)
	b.matmul(s, b.q, l.wq, b.h)
	b.matmul(s, b.k, l.wk, b.h)
	b.matmul(s, b.v, l.wv, b.h)
	s.RMSNorm(b.qHeads, b.qHeads, l.qNorm, b.eps)
	s.RMSNorm(b.kHeads, b.kHeads, l.kNorm, b.eps)
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
