"""A checkpoint of BERT as a GGUF file, with the names that llama.cpp has. Needs nothing but Python.

The weights stay f32. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""
import json
import struct

LAYER = {
    "attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense", "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense", "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm"}


def names(layers):
    """Names in GGUF, and in the checkpoint."""
    e = "embeddings."
    yield "token_embd.weight", e + "word_embeddings.weight"
    yield "position_embd.weight", e + "position_embeddings.weight"
    yield "token_types.weight", e + "token_type_embeddings.weight"
    yield "token_embd_norm.weight", e + "LayerNorm.weight"
    yield "token_embd_norm.bias", e + "LayerNorm.bias"
    for i in range(layers):
        for ours, theirs in LAYER.items():
            for part in ("weight", "bias"):
                yield f"blk.{i}.{ours}.{part}", f"encoder.layer.{i}.{theirs}.{part}"


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(v):
    """A value with its type: bool, int (u32), float (f32), str, or a list of int (i32) or str."""
    if isinstance(v, bool):
        return struct.pack("<I?", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, str):
        return struct.pack("<I", 8) + text(v)
    strings = isinstance(v[0], str)
    items = b"".join(map(text, v)) if strings else struct.pack(f"<{len(v)}i", *v)
    return struct.pack("<IIQ", 9, 8 if strings else 5, len(v)) + items


def convert(out, name, safetensors, config, vocab, pooling):
    """Writes a GGUF file to out from the bytes of model.safetensors, config.json and vocab.txt.

    pooling is 1 (mean) or 2 (cls).
    """
    size = struct.unpack_from("<Q", safetensors)[0]
    header, data, c = json.loads(safetensors[8:8 + size]), memoryview(safetensors)[8 + size:], json.loads(config)
    tokens = vocab.decode().split("\n")[:-1]
    special = {t: i for i, t in enumerate(tokens) if t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
    phantom = lambda t: t if t[0] == "[" and t[-1] == "]" else t[2:] if t.startswith("##") else "\u2581" + t
    meta = {
        "general.architecture": "bert", "general.name": name, "general.license": "apache-2.0", "general.file_type": 0,
        "bert.block_count": c["num_hidden_layers"], "bert.context_length": c["max_position_embeddings"],
        "bert.embedding_length": c["hidden_size"], "bert.feed_forward_length": c["intermediate_size"],
        "bert.attention.head_count": c["num_attention_heads"], "bert.attention.layer_norm_epsilon": c["layer_norm_eps"],
        "bert.attention.causal": False, "bert.pooling_type": pooling,
        "tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": [phantom(t) for t in tokens],
        "tokenizer.ggml.token_type": [3 if t in special else 1 for t in tokens], "tokenizer.ggml.token_type_count": c["type_vocab_size"],
        "tokenizer.ggml.unknown_token_id": special["[UNK]"], "tokenizer.ggml.seperator_token_id": special["[SEP]"],
        "tokenizer.ggml.padding_token_id": special["[PAD]"], "tokenizer.ggml.cls_token_id": special["[CLS]"],
        "tokenizer.ggml.mask_token_id": special["[MASK]"]}
    infos, parts, at = b"", [], 0
    for ours, theirs in names(c["num_hidden_layers"]):
        t = header[theirs]
        assert t["dtype"] == "F32", t
        lo, hi = t["data_offsets"]
        infos += text(ours) + struct.pack(f"<I{len(t['shape'])}QIQ", len(t["shape"]), *reversed(t["shape"]), 0, at)
        parts += [data[lo:hi], bytes(-(hi - lo) % 32)]
        at += hi - lo + -(hi - lo) % 32
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(parts) // 2, len(meta)) + b"".join(text(k) + value(v) for k, v in meta.items()) + infos
    with open(out, "wb") as f:
        f.write(head + bytes(-len(head) % 32))
        for p in parts:
            f.write(p)
