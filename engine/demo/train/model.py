"""The llama architecture in JAX: RMSNorm, rotary positions, grouped queries, SwiGLU, tied embeddings.

Matrices are (out, in), as GGUF stores them, so that the export copies them.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Config:
    vocab: int = 3072
    dim: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    ffn: int = 768
    context: int = 512
    rope_base: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.dim // self.heads


def init(key, c: Config):
    """Random parameters; what writes to the residual stream starts small."""
    keys = iter(jax.random.split(key, 1 + 7 * c.layers))

    def matrix(out, inp, scale=1.0):
        return jax.random.normal(next(keys), (out, inp)) * scale * inp**-0.5

    small = (2 * c.layers) ** -0.5
    kv = c.kv_heads * c.head_dim
    return {
        "token_embd": jax.random.normal(next(keys), (c.vocab, c.dim)) * 0.02,
        "output_norm": jnp.ones(c.dim),
        "blk": [
            {
                "attn_norm": jnp.ones(c.dim),
                "attn_q": matrix(c.dim, c.dim),
                "attn_k": matrix(kv, c.dim),
                "attn_v": matrix(kv, c.dim),
                "attn_output": matrix(c.dim, c.dim, small),
                "ffn_norm": jnp.ones(c.dim),
                "ffn_gate": matrix(c.ffn, c.dim),
                "ffn_up": matrix(c.ffn, c.dim),
                "ffn_down": matrix(c.dim, c.ffn, small),
            }
            for _ in range(c.layers)
        ],
    }


def linear(x, weight):
    """x times weight (out, in), multiplied in bfloat16: twice the speed of float32 on a CPU with avx512_bf16."""
    return (x.astype(jnp.bfloat16) @ weight.astype(jnp.bfloat16).T).astype(jnp.float32)


def rmsnorm(x, weight, eps):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + eps) * weight


def rope(x, c: Config):
    """Rotates the pairs (2i, 2i+1) of each head: the order of GGUF's llama, so no permutation is needed. x: (B, T, H, D)."""
    t, d = x.shape[1], x.shape[3]
    angle = jnp.arange(t)[:, None] * c.rope_base ** (-jnp.arange(0, d, 2) / d)
    cos, sin = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
    a, b = x[..., 0::2], x[..., 1::2]
    return jnp.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)


def attention(p, x, mask, c: Config):
    b, t, _ = x.shape
    group = c.heads // c.kv_heads
    q = rope(linear(x, p["attn_q"]).reshape(b, t, c.heads, c.head_dim), c)
    k = rope(linear(x, p["attn_k"]).reshape(b, t, c.kv_heads, c.head_dim), c)
    v = linear(x, p["attn_v"]).reshape(b, t, c.kv_heads, c.head_dim)
    q = q.reshape(b, t, c.kv_heads, group, c.head_dim)
    scores = jnp.einsum("btkgd,bskd->bkgts", q, k) * c.head_dim**-0.5
    weights = jax.nn.softmax(jnp.where(mask, scores, -1e30), -1)
    return linear(jnp.einsum("bkgts,bskd->btkgd", weights, v).reshape(b, t, c.dim), p["attn_output"])


def logits(params, ids, c: Config):
    """Next-token logits (B, T, vocab) for ids (B, T)."""
    mask = jnp.tril(jnp.ones((ids.shape[1], ids.shape[1]), bool))
    x = params["token_embd"][ids]
    for p in params["blk"]:
        x = x + attention(p, rmsnorm(x, p["attn_norm"], c.eps), mask, c)
        h = rmsnorm(x, p["ffn_norm"], c.eps)
        x = x + linear(jax.nn.silu(linear(h, p["ffn_gate"])) * linear(h, p["ffn_up"]), p["ffn_down"])
    return linear(rmsnorm(x, params["output_norm"], c.eps), params["token_embd"])
