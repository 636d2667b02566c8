#!/usr/bin/env python3
"""Makes the tiny models *.gguf of this folder, with the logits that they must give.

Each model has random weights. Its metadata holds, besides what a model has,
  golden.ids      token ids
  golden.logits   logits after each of them, from the float64 forward pass below
  golden.context  the context to load it with
The forward pass follows the papers and the models' authors (transformers), not
llcuda. Where llama-cpp-python is installed its logits are compared as well.

    pip install numpy gguf==0.19.0 [llama-cpp-python]
    python make_golden.py
"""
import math
import sys

import numpy as np
from gguf import GGMLQuantizationType as QT
from gguf import GGUFWriter, quants

VOCAB, LENGTH = 64, 40


class Config:
    """One model. What is not said is as in Llama."""

    arch, dim, ffn, heads, kv_heads, head_dim, layers = "llama", 16, 32, 4, 2, 4, 2
    eps, base, context, trained = 1e-5, 10000.0, 256, 256
    tied = bias = out_bias = qk_norm = gemma = fused = neox = False
    rope_dims = 0  # 0: head_dim
    scaling, factor, orig = None, 1.0, 0  # linear, yarn, longrope
    attn_factor = 1.0
    freq_factors = None  # divisors of the frequencies
    long_short = None  # longrope: (long, short)
    window, pattern, local_base = 0, None, None  # pattern: which layers are local
    pattern_key = None  # how the file says so
    attn_cap = final_cap = 0.0
    scale = None
    quant = None
    llama_cpp = True  # llama.cpp computes the same

    def __init__(self, **kw):
        for k, v in kw.items():
            assert hasattr(self, k), k
            setattr(self, k, v)
        self.rope_dims = self.rope_dims or self.head_dim


def weights(c, rng):
    """Tensors by GGUF name, outermost dimension first."""
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    mat = lambda r, k, gain=1.0: (rng.standard_normal((r, k)) * gain / math.sqrt(k)).astype(np.float32)
    norm = lambda n: (1 + 0.2 * rng.standard_normal(n)).astype(np.float32)
    vec = lambda n: (0.3 * rng.standard_normal(n)).astype(np.float32)
    w = {"token_embd.weight": mat(VOCAB, c.dim, 1.0 if c.gemma else math.sqrt(c.dim))}
    if not c.tied:
        w["output.weight"] = mat(VOCAB, c.dim, 2.0)
    w["output_norm.weight"] = norm(c.dim)
    if c.freq_factors is not None:
        w["rope_freqs.weight"] = np.asarray(c.freq_factors, np.float32)
    if c.long_short is not None:
        w["rope_factors_long.weight"], w["rope_factors_short.weight"] = (np.asarray(f, np.float32) for f in c.long_short)
    for i in range(c.layers):
        b = f"blk.{i}."
        w[b + "attn_norm.weight"] = norm(c.dim)
        parts = {"q": mat(q, c.dim, 2.5), "k": mat(kv, c.dim, 2.5), "v": mat(kv, c.dim)}
        if c.fused:
            w[b + "attn_qkv.weight"] = np.concatenate([parts["q"], parts["k"], parts["v"]])
        else:
            for n, m in parts.items():
                w[b + f"attn_{n}.weight"] = m
                if c.bias:
                    w[b + f"attn_{n}.bias"] = vec(len(m))
        if c.qk_norm:
            w[b + "attn_q_norm.weight"], w[b + "attn_k_norm.weight"] = norm(c.head_dim) * 1.5, norm(c.head_dim) * 1.5
        w[b + "attn_output.weight"] = mat(c.dim, q)
        if c.out_bias:
            w[b + "attn_output.bias"] = vec(c.dim)
        w[b + "ffn_norm.weight"] = norm(c.dim)
        gate, up = mat(c.ffn, c.dim), mat(c.ffn, c.dim)
        if c.fused:
            w[b + "ffn_up.weight"] = np.concatenate([gate, up])
        else:
            w[b + "ffn_gate.weight"], w[b + "ffn_up.weight"] = gate, up
        w[b + "ffn_down.weight"] = mat(c.dim, c.ffn)
        if c.gemma:
            w[b + "post_attention_norm.weight"], w[b + "post_ffw_norm.weight"] = norm(c.dim), norm(c.dim)
    return w


def rms(x, w, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w


def inverse_frequencies(c, local):
    """Angles per position, and what the rotated numbers are multiplied by."""
    base = c.local_base if local and c.local_base else c.base
    freq = base ** (-np.arange(0, c.rope_dims, 2) / c.rope_dims)
    if local and c.local_base:
        return freq, 1.0  # Gemma 3: local layers are not scaled
    if c.freq_factors is not None:
        freq = freq / np.asarray(c.freq_factors, np.float32).astype(np.float64)
    if c.scaling == "linear":
        return freq / c.factor, 1.0
    if c.scaling == "yarn":  # transformers, modeling_rope_utils.py: _compute_yarn_parameters
        find = lambda turns: c.rope_dims * math.log(c.orig / (turns * 2 * math.pi)) / (2 * math.log(base))
        low, high = max(math.floor(find(32)), 0), min(math.ceil(find(1)), c.rope_dims - 1)
        ramp = np.clip((np.arange(c.rope_dims // 2) - low) / max(high - low, 0.001), 0, 1)
        return freq / c.factor * ramp + freq * (1 - ramp), 0.1 * math.log(c.factor) + 1
    if c.scaling == "longrope":
        factors = c.long_short[0 if c.context > c.orig else 1]
        return freq / np.asarray(factors, np.float32).astype(np.float64), c.attn_factor
    return freq, 1.0


def rotate(c, x, local):
    """x (n, heads, head_dim): pairs (i, i+d/2) or (2i, 2i+1) of the first rope_dims numbers."""
    freq, mul = inverse_frequencies(c, local)
    angle = np.arange(len(x))[:, None] * freq
    cos, sin = np.cos(angle)[:, None] * mul, np.sin(angle)[:, None] * mul
    d = c.rope_dims
    a, b = (slice(0, d // 2), slice(d // 2, d)) if c.neox else (slice(0, d, 2), slice(1, d, 2))
    y = x.copy()
    y[..., a], y[..., b] = x[..., a] * cos - x[..., b] * sin, x[..., b] * cos + x[..., a] * sin
    return y


def forward(c, w, ids):
    w = {k: v.astype(np.float64) for k, v in w.items()}
    q_dim, kv_dim = c.heads * c.head_dim, c.kv_heads * c.head_dim
    x = w["token_embd.weight"][ids]
    if c.gemma:
        x = x * math.sqrt(c.dim)
    n = len(ids)
    for i in range(c.layers):
        t = lambda name: w[f"blk.{i}.{name}"]
        local = bool(c.pattern[i]) if c.pattern else c.window > 0
        h = rms(x, t("attn_norm.weight"), c.eps)
        if c.fused:
            q, k, v = np.split(h @ t("attn_qkv.weight").T, [q_dim, q_dim + kv_dim], axis=-1)
        else:
            q, k, v = (h @ t(f"attn_{p}.weight").T + (t(f"attn_{p}.bias") if c.bias else 0) for p in "qkv")
        q, k, v = q.reshape(n, -1, c.head_dim), k.reshape(n, -1, c.head_dim), v.reshape(n, -1, c.head_dim)
        if c.qk_norm:
            q, k = rms(q, t("attn_q_norm.weight"), c.eps), rms(k, t("attn_k_norm.weight"), c.eps)
        q, k = rotate(c, q, local), rotate(c, k, local)
        k, v = (np.repeat(m, c.heads // c.kv_heads, axis=1) for m in (k, v))
        scores = np.einsum("ihd,jhd->hij", q, k) * (c.scale or 1 / math.sqrt(c.head_dim))
        if c.attn_cap:
            scores = c.attn_cap * np.tanh(scores / c.attn_cap)
        back = np.arange(n)[:, None] - np.arange(n)[None]
        scores = np.where((back >= 0) & ((back < c.window) | (not local)), scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        h = np.einsum("hij,jhd->ihd", p, v).reshape(n, q_dim) @ t("attn_output.weight").T
        if c.out_bias:
            h = h + t("attn_output.bias")
        x = x + (rms(h, t("post_attention_norm.weight"), c.eps) if c.gemma else h)

        h = rms(x, t("ffn_norm.weight"), c.eps)
        if c.fused:
            gate, up = np.split(h @ t("ffn_up.weight").T, 2, axis=-1)
        else:
            gate, up = h @ t("ffn_gate.weight").T, h @ t("ffn_up.weight").T
        if c.gemma:
            gate = 0.5 * gate * (1 + np.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
        else:
            gate = gate / (1 + np.exp(-gate))
        h = (gate * up) @ t("ffn_down.weight").T
        x = x + (rms(h, t("post_ffw_norm.weight"), c.eps) if c.gemma else h)
    x = rms(x, w["output_norm.weight"], c.eps)
    logits = x @ w["token_embd.weight" if c.tied else "output.weight"].T
    return c.final_cap * np.tanh(logits / c.final_cap) if c.final_cap else logits


def write(path, c, w, ids, logits):
    g, a = GGUFWriter(path, c.arch), c.arch + "."
    g.add_uint32(a + "block_count", c.layers)
    g.add_uint32(a + "context_length", c.trained)
    g.add_uint32(a + "embedding_length", c.dim)
    g.add_uint32(a + "feed_forward_length", c.ffn)
    g.add_uint32(a + "attention.head_count", c.heads)
    g.add_uint32(a + "attention.head_count_kv", c.kv_heads)
    g.add_uint32(a + "attention.key_length", c.head_dim)
    g.add_uint32(a + "attention.value_length", c.head_dim)
    g.add_uint32(a + "rope.dimension_count", c.rope_dims)
    g.add_uint32(a + "vocab_size", VOCAB)
    g.add_float32(a + "attention.layer_norm_rms_epsilon", c.eps)
    g.add_float32(a + "rope.freq_base", c.base)
    if c.scaling:
        g.add_string(a + "rope.scaling.type", c.scaling)
    if c.factor != 1:
        g.add_float32(a + "rope.scaling.factor", c.factor)
    if c.attn_factor != 1:
        g.add_float32(a + "rope.scaling.attn_factor", c.attn_factor)
    if c.orig:
        g.add_uint32(a + "rope.scaling.original_context_length", c.orig)
    if c.window:
        g.add_uint32(a + "attention.sliding_window", c.window)
    if isinstance(c.pattern_key, list):
        g.add_array(a + "attention.sliding_window_pattern", c.pattern_key)
    elif c.pattern_key:
        g.add_uint32(a + "attention.sliding_window_pattern", c.pattern_key)
    if c.local_base not in (None, 10000.0):
        g.add_float32(a + "rope.freq_base_swa", c.local_base)
    if c.attn_cap:
        g.add_float32(a + "attn_logit_softcapping", c.attn_cap)
    if c.final_cap:
        g.add_float32(a + "final_logit_softcapping", c.final_cap)
    # A vocabulary of pieces for a SentencePiece tokenizer.
    pieces = ["<unk>", "<s>", "</s>", "\u2581"] + [chr(ord("a") + i % 26) * (1 + i // 26) for i in range(VOCAB - 4)]
    g.add_tokenizer_model("llama")
    g.add_token_list(pieces)
    g.add_token_scores([-float(i) for i in range(VOCAB)])
    g.add_token_types([2, 3, 3] + [1] * (VOCAB - 3))
    g.add_bos_token_id(1)
    g.add_eos_token_id(2)
    g.add_unk_token_id(0)
    g.add_array("golden.ids", [int(i) for i in ids])
    g.add_array("golden.logits", [float(x) for x in logits.astype(np.float32).ravel()])
    g.add_uint32("golden.context", c.context)
    for name, m in w.items():
        if c.quant is not None and m.ndim == 2:
            g.add_tensor(name, quants.quantize(m, c.quant), raw_dtype=c.quant)
        else:
            g.add_tensor(name, m)
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


def by_llama_cpp(path, c, ids):
    """The logits of llama.cpp, or None where it is not installed."""
    try:
        import llama_cpp
    except ImportError:
        return None
    m = llama_cpp.Llama(path, n_ctx=c.context, n_batch=64, n_ubatch=64, logits_all=True, type_k=0, type_v=0,
                        flash_attn=False, verbose=False, n_threads=1)
    m.eval([int(i) for i in ids])
    return np.array(m.scores[: len(ids)], np.float64)


CASES = {
    "llama": Config(),
    "llama-tied-factors": Config(tied=True, head_dim=8, freq_factors=[1, 1.5, 4, 8]),
    "llama-linear": Config(scaling="linear", factor=4.0, head_dim=8),
    "llama-yarn": Config(scaling="yarn", factor=4.0, orig=64, head_dim=8),
    "llama-bias": Config(bias=True, out_bias=True, kv_heads=4),
    "llama-window": Config(window=7, pattern=[1, 1], llama_cpp=False),
    "llama-q8_0": Config(dim=32, ffn=64, heads=2, kv_heads=1, head_dim=32, quant=QT.Q8_0),
    "qwen2": Config(arch="qwen2", bias=True, tied=True, neox=True, base=1e6, heads=2, head_dim=8, eps=1e-6, kv_heads=1),
    "qwen2-yarn": Config(arch="qwen2", bias=True, neox=True, scaling="yarn", factor=2.0, orig=128, heads=2, head_dim=8),
    "qwen3": Config(arch="qwen3", qk_norm=True, tied=True, neox=True, base=1e6, head_dim=12, eps=1e-6),
    "gemma2": Config(arch="gemma2", gemma=True, tied=True, neox=True, head_dim=8, window=6, layers=4,
                     pattern=[1, 0, 1, 0], attn_cap=2.0, final_cap=3.0, eps=1e-6),
    "gemma3": Config(arch="gemma3", gemma=True, qk_norm=True, tied=True, neox=True, head_dim=8, window=6, layers=7,
                     pattern=[1] * 5 + [0, 1], base=1e6, local_base=10000.0, kv_heads=1, eps=1e-6,
                     scaling="linear", factor=8.0),
    "gemma3-pattern": Config(arch="gemma3", gemma=True, qk_norm=True, tied=True, neox=True, head_dim=8, window=9,
                             layers=3, pattern=[0, 1, 1], pattern_key=[False, True, True], base=1e6,
                             local_base=5000.0, eps=1e-6),
    "phi3-short": Config(arch="phi3", fused=True, neox=True, kv_heads=4, trained=1024, context=256, orig=512,
                         scaling="longrope", long_short=([1.5, 3.0], [1.1, 1.3]), attn_factor=1.19),
    "phi3-long": Config(arch="phi3", fused=True, neox=True, kv_heads=4, trained=1024, context=768, orig=512,
                        scaling="longrope", long_short=([1.5, 3.0], [1.1, 1.3]), attn_factor=1.19),
    "phi3-partial": Config(arch="phi3", fused=True, neox=True, heads=2, kv_heads=1, head_dim=8, rope_dims=6),
    "phi3-window": Config(arch="phi3", fused=True, neox=True, kv_heads=4, window=7, pattern=[1, 1], llama_cpp=False),
}


def main():
    for seed, (name, c) in enumerate(CASES.items()):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        rng = np.random.default_rng(seed + 1)
        w = weights(c, rng)
        ids = rng.integers(3, VOCAB, LENGTH)
        seen = w
        if c.quant is not None:
            seen = {k: quants.dequantize(quants.quantize(m, c.quant), c.quant) if m.ndim == 2 else m for k, m in w.items()}
        logits = forward(c, seen, ids)
        path = name + ".gguf"
        write(path, c, w, ids, logits)
        other = by_llama_cpp(path, c, ids) if c.llama_cpp else None
        note = "not compared"
        if other is not None:
            off = math.sqrt(((other - logits) ** 2).sum() / (logits**2).sum())
            note = f"llama.cpp is {off:.1e} off"
            assert off < (4e-2 if c.quant else 2e-3), f"{name}: {note}"
        print(f"{name:20} logits ±{logits.std():.2f}, {note}", flush=True)


main()
