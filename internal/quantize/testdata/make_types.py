"""Writes types.json: which type llama.cpp's quantiser gives each tensor of
models like real ones, in each of its mixes; with an importance matrix where
that changes them.

    python make_types.py

Needs numpy, gguf 0.19 and llama-cpp-python 0.3.36. The models have the names
and the columns of their kind, two rows a matrix, and zeros.
"""
import ctypes
import json
import os
import tempfile

import gguf
import llama_cpp
import numpy as np

MIXES = {"q2_k_s": 21, "q2_k": 10, "q3_k_s": 11, "q3_k_m": 12, "q3_k_l": 13, "iq4_xs": 30, "iq4_nl": 25, "q4_0": 2, "q4_1": 3,
         "q4_k_s": 14, "q4_k_m": 15, "q5_0": 8, "q5_1": 9, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18, "q8_0": 7, "f16": 1, "bf16": 32,
         "f32": 0}


def llama(dim, ffn, experts=0, tied=False, norms=(), biases=(), fused=False, top=()):
    """The tensors of the model, and of a layer: name and columns (0: a vector)."""
    model = [("token_embd.weight", dim), ("output_norm.weight", 0)] + [] if tied else [
        ("token_embd.weight", dim), ("output_norm.weight", 0), ("output.weight", dim)]
    layer = [("attn_norm.weight", 0), ("ffn_norm.weight", 0), ("attn_output.weight", dim)]
    layer += [("attn_qkv.weight", dim)] if fused else [(f"attn_{x}.weight", dim) for x in "qkv"]
    layer += [(f"attn_{x}.bias", 0) for x in biases] + [(f"{x}_norm.weight", 0) for x in norms]
    if experts:
        layer += [("ffn_gate_inp.weight", dim), ("ffn_gate_exps.weight", -dim), ("ffn_up_exps.weight", -dim), ("ffn_down_exps.weight", -ffn)]
    else:
        layer += [("ffn_up.weight", dim), ("ffn_down.weight", ffn)] + ([] if fused else [("ffn_gate.weight", dim)])
    return model + list(top), layer


# name: architecture, layers, heads, key-value heads, experts, tensors
MODELS = {
    "llama-8b": ("llama", 32, 32, 8, 0, llama(256, 512)),
    "llama-1b": ("llama", 16, 32, 8, 0, llama(256, 512, tied=True, top=[("rope_freqs.weight", 0)])),
    "llama-7b": ("llama", 30, 32, 32, 0, llama(256, 512)),
    "llama-70b": ("llama", 80, 64, 8, 0, llama(256, 512)),
    "mixtral": ("llama", 12, 32, 8, 8, llama(256, 512, experts=8)),
    "odd": ("llama", 9, 8, 4, 0, llama(48, 80)),
    "smollm": ("llama", 30, 9, 3, 0, llama(576, 1536, tied=True)),
    "qwen2-0.5b": ("qwen2", 24, 14, 2, 0, llama(896, 4864, tied=True, biases="qkv")),
    "qwen2-72b": ("qwen2", 80, 64, 8, 0, llama(256, 512, biases="qkv")),
    "qwen3": ("qwen3", 28, 16, 8, 0, llama(1024, 3072, norms=("attn_q", "attn_k"))),
    "gemma3-1b": ("gemma3", 26, 4, 1, 0, llama(1152, 6912, tied=True, norms=("attn_q", "attn_k", "post_attention", "post_ffw"))),
    "phi3-mini": ("phi3", 32, 32, 32, 0, llama(3072, 8192, fused=True, top=[("rope_factors_long.weight", 0), ("rope_factors_short.weight", 0)])),
    "bert": ("bert", 12, 12, 12, 0, llama(384, 1536, tied=True, biases="qkv", top=[("position_embd.weight", 384), ("token_types.weight", 384)])),
}


def shape_of(cols):
    return (2, cols) if cols > 0 else (8, 2, -cols) if cols < 0 else (64,)


def write(path, arch, layers, heads, kv, experts, tensors):
    w = gguf.GGUFWriter(path, arch)
    w.add_block_count(layers)
    w.add_context_length(64)
    w.add_embedding_length(heads * 8)
    w.add_feed_forward_length(64)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_layer_norm_eps(1e-5)
    w.add_vocab_size(2)
    w.add_sliding_window(32)
    w.add_rope_scaling_orig_ctx_len(64)
    if experts:
        w.add_expert_count(experts)
        w.add_expert_used_count(2)
    if arch == "bert":
        w.add_causal_attention(False)
        w.add_pooling_type(gguf.PoolingType.MEAN)
    model, layer = ([(name, shape_of(cols)) for name, cols in part] for part in tensors)
    shapes = model + [(f"blk.{i}.{name}", shape) for i in range(layers) for name, shape in layer]
    for name, shape in shapes:
        w.add_tensor(name, np.zeros(shape, np.float32 if len(shape) == 1 else np.float16))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return shapes


def imatrix_of(shapes):
    """An importance of 1 for all."""
    one = (ctypes.c_float * (1 << 16))(*[1.0] * (1 << 16))
    entries = [llama_cpp.llama_model_imatrix_data(n.encode(), one, s[-1] * (s[0] if len(s) == 3 else 1)) for n, s in shapes]
    entries.append(llama_cpp.llama_model_imatrix_data(None, None, 0))
    return (llama_cpp.llama_model_imatrix_data * len(entries))(*entries)


def types_of(src, out, ftype, imatrix):
    p = llama_cpp.llama_model_quantize_default_params()
    p.nthread, p.ftype = 1, ftype
    if imatrix is not None:
        p.imatrix = ctypes.cast(imatrix, ctypes.POINTER(llama_cpp.llama_model_imatrix_data))
    if llama_cpp.llama_model_quantize(src.encode(), out.encode(), ctypes.byref(p)):
        return None
    return {t.name: t.tensor_type.name.lower() for t in gguf.GGUFReader(out).tensors}


quiet = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(quiet, None)
here = os.path.dirname(os.path.abspath(__file__))
result = []
with tempfile.TemporaryDirectory() as tmp:
    for name, spec in MODELS.items():
        src, out = os.path.join(tmp, "src.gguf"), os.path.join(tmp, "out.gguf")
        shapes = write(src, *spec)
        arch, layers, heads, kv, experts, _ = spec
        model, layer = ([[n, *shape_of(c)] for n, c in part] for part in spec[-1])
        case = {"name": name, "arch": arch, "layers": layers, "heads": heads, "kv_heads": kv, "experts": experts,
                "model": model, "layer": layer, "plain": {}, "imatrix": {}}
        for kind, imatrix in (("plain", None), ("imatrix", imatrix_of(shapes))):
            for mix, ftype in MIXES.items():
                types = types_of(src, out, ftype, imatrix)
                if types is None:
                    print(name, kind, mix, "refused")
                    continue
                # Most tensors have the most frequent type: the others are listed, by their number.
                chosen = [types[n] for n, _ in shapes]
                most = max(sorted(set(chosen)), key=chosen.count)
                others = {}
                for i, t in enumerate(chosen):
                    if t != most:
                        others.setdefault(t, []).append(i)
                case[kind][mix] = {"most": most, **others}
        case["imatrix"] = {mix: v for mix, v in case["imatrix"].items() if v != case["plain"].get(mix)}
        result.append(case)
        print(name, len(shapes))
with open(os.path.join(here, "types.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in result) + "\n]\n")
