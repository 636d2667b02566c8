#!/usr/bin/env python3
"""Makes the tiny encoders encoders/*.gguf, with the hidden states that they must give.

Each has random weights. Its metadata holds, besides what a model has,
  golden.texts   texts
  golden.ids     their tokens, one text after the other
  golden.ends    where each text ends in them
  golden.hidden  the last layer's state of each token, from transformers in float64
llama.cpp reads files of this form; its vectors of all-MiniLM-L6-v2 are 1e-3 off transformers', ours 5e-7 (f32 cache).

    pip install torch transformers==5.24.0 tokenizers gguf==0.19.0
    python make_encoders.py
"""
import numpy as np
import torch
from gguf import GGMLQuantizationType as QT
from gguf import GGUFWriter, PoolingType, TokenType, quants
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel, NomicBertConfig, NomicBertModel

WORDS = ("the a of and in to is was it for on with as at by from that cat dog sat mat fish bird ship sea king queen "
         "red blue old young run ran walk eat ate sleep code model token vector search find text word world peace war").split()
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS + ["##s", "##ing", "##ed", "##er", "."] + [c for c in "bcdefghijklmnopqrstuvwxyz0123456789,!?"]
TOKENS += ["##" + c for c in "abcdefghijklmnopqrtuvwxyz0123456789"]
assert len(set(TOKENS)) == len(TOKENS)
TEXTS = ["The cat sat on the mat.", "A dog ran.", "", "Searching vectors of old texts, and finding words!", "\u00c9t\u00e9 \u4e16\u754c",
         "war and peace " * 9, "king", "the queen walked to the ship; the bird eats fish in the blue sea"]


def randomise(model, seed):
    """Numbers of such sizes that every part of the model matters."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        r = torch.randn(p.shape, generator=g, dtype=torch.float32)
        low = name.lower()
        if "norm" in low:
            p.data = 1 + 0.2 * r if name.endswith("weight") else 0.3 * r
        elif p.ndim == 1:
            p.data = 0.3 * r
        elif "embeddings" in low:
            p.data = r
        else:
            p.data = r * (2.0 if "query" in low or "key" in low or "q_proj" in low or "k_proj" in low else 1.0) / p.shape[1] ** 0.5
    return model


def bert(dim, heads, layers, ffn, positions, seed):
    c = BertConfig(vocab_size=len(TOKENS), hidden_size=dim, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=ffn,
                   max_position_embeddings=positions, attn_implementation="eager")
    m = randomise(BertModel(c, add_pooling_layer=False), seed)
    s = m.state_dict()
    t = {"token_embd.weight": s["embeddings.word_embeddings.weight"], "position_embd.weight": s["embeddings.position_embeddings.weight"],
         "token_types.weight": s["embeddings.token_type_embeddings.weight"],
         "token_embd_norm.weight": s["embeddings.LayerNorm.weight"], "token_embd_norm.bias": s["embeddings.LayerNorm.bias"]}
    for i in range(layers):
        for ours, theirs in [("attn_q", "attention.self.query"), ("attn_k", "attention.self.key"), ("attn_v", "attention.self.value"),
                             ("attn_output", "attention.output.dense"), ("attn_output_norm", "attention.output.LayerNorm"),
                             ("ffn_up", "intermediate.dense"), ("ffn_down", "output.dense"), ("layer_output_norm", "output.LayerNorm")]:
            for part in ("weight", "bias"):
                t[f"blk.{i}.{ours}.{part}"] = s[f"encoder.layer.{i}.{theirs}.{part}"]
    return "bert", m, t, {}


def nomic(dim, heads, layers, ffn, positions, seed):
    c = NomicBertConfig(vocab_size=len(TOKENS), hidden_size=dim, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=ffn,
                        head_dim=dim // heads, max_position_embeddings=positions, attn_implementation="eager",
                        rope_parameters={"rope_theta": 1000.0, "rope_type": "default"})
    m = randomise(NomicBertModel(c, add_pooling_layer=False), seed)
    s = m.state_dict()
    t = {"token_embd.weight": s["embeddings.word_embeddings.weight"], "token_types.weight": s["embeddings.token_type_embeddings.weight"],
         "token_embd_norm.weight": s["embeddings.LayerNorm.weight"] if "embeddings.LayerNorm.weight" in s else s["embeddings_layernorm.weight"],
         "token_embd_norm.bias": s["embeddings.LayerNorm.bias"] if "embeddings.LayerNorm.bias" in s else s["embeddings_layernorm.bias"]}
    for i in range(layers):
        l = f"layers.{i}."
        t[f"blk.{i}.attn_qkv.weight"] = torch.cat([s[l + f"self_attn.{p}_proj.weight"] for p in "qkv"])
        t[f"blk.{i}.attn_output.weight"] = s[l + "self_attn.o_proj.weight"]
        for ours, theirs in [("ffn_up", "mlp.up_proj"), ("ffn_gate", "mlp.gate_proj"), ("ffn_down", "mlp.down_proj")]:
            t[f"blk.{i}.{ours}.weight"] = s[l + theirs + ".weight"]
        for ours, theirs in [("attn_output_norm", "post_attention_layernorm"), ("layer_output_norm", "post_mlp_layernorm")]:
            for part in ("weight", "bias"):
                t[f"blk.{i}.{ours}.{part}"] = s[l + theirs + "." + part]
    return "nomic-bert", m, t, {"rope.freq_base": 1000.0}


def write(name, arch, model, tensors, floats, pooling, quant=None):
    c = model.config
    g, a = GGUFWriter(f"encoders/{name}.gguf", arch), arch + "."
    g.add_string("general.name", name)
    g.add_uint32(a + "block_count", c.num_hidden_layers)
    g.add_uint32(a + "context_length", c.max_position_embeddings)
    g.add_uint32(a + "embedding_length", c.hidden_size)
    g.add_uint32(a + "feed_forward_length", c.intermediate_size)
    g.add_uint32(a + "attention.head_count", c.num_attention_heads)
    g.add_float32(a + "attention.layer_norm_epsilon", c.layer_norm_eps)
    g.add_bool(a + "attention.causal", False)
    for k, v in floats.items():
        g.add_float32(a + k, v)
    if pooling is not None:
        g.add_uint32(a + "pooling_type", pooling)
    phantom = lambda t: t if t.startswith("[") and t.endswith("]") else t[2:] if t.startswith("##") else "\u2581" + t
    g.add_tokenizer_model("bert")
    g.add_token_list([phantom(t) for t in TOKENS])
    g.add_token_types([TokenType.CONTROL if t.startswith("[") else TokenType.NORMAL for t in TOKENS])
    g.add_uint32("tokenizer.ggml.token_type_count", 2)
    for key, t in [("unknown", "[UNK]"), ("seperator", "[SEP]"), ("padding", "[PAD]"), ("cls", "[CLS]"), ("mask", "[MASK]")]:
        g.add_uint32(f"tokenizer.ggml.{key}_token_id", TOKENS.index(t))
    seen = {}
    for k, t in tensors.items():
        w = t.numpy().astype(np.float32)
        if quant is not None and w.ndim == 2 and k.startswith("blk."):
            q = quants.quantize(w, quant)
            g.add_tensor(k, q, raw_dtype=quant)
            t.copy_(torch.from_numpy(quants.dequantize(q, quant)))
        else:
            g.add_tensor(k, w)
    tok = BertWordPieceTokenizer({t: i for i, t in enumerate(TOKENS)})
    ids = [tok.encode(t).ids for t in TEXTS]
    model = model.double().eval()
    with torch.no_grad():
        hidden = [model(torch.tensor([i])).last_hidden_state[0].numpy() for i in ids]
    g.add_array("golden.texts", TEXTS)
    g.add_array("golden.ids", [int(x) for i in ids for x in i])
    g.add_array("golden.ends", [int(x) for x in np.cumsum([len(i) for i in ids])])
    g.add_array("golden.hidden", [float(x) for h in hidden for x in h.astype(np.float32).ravel()])
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()
    print(name, sum(map(len, ids)), "tokens, states ±%.2f" % np.concatenate(hidden).std())


write("bert-mean", *bert(32, 4, 2, 64, 64, 1), PoolingType.MEAN)
write("bert-cls", *bert(24, 3, 3, 40, 48, 2), PoolingType.CLS)
write("bert-unsaid", *bert(16, 1, 1, 32, 40, 3), None)
write("bert-q8_0", *bert(64, 2, 2, 128, 64, 4), PoolingType.MEAN, QT.Q8_0)
write("nomic-bert", *nomic(32, 2, 2, 64, 128, 5), PoolingType.MEAN)
