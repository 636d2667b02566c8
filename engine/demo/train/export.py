"""Writes the trained model as GGUF, matrices in Q8_0: `python export.py build ../demo.gguf`."""

import argparse
import json
from pathlib import Path

import gguf
import jax
import numpy as np

import model
import tokens
from train import BOS, restore

DESCRIPTION = "A very small language model that answers a prompt with a short story. Trained on stories from a grammar of our own."


def names(params):
    """Yields (GGUF name, array)."""
    yield "token_embd.weight", params["token_embd"]
    yield "output_norm.weight", params["output_norm"]
    for i, block in enumerate(params["blk"]):
        for name, x in block.items():
            yield f"blk.{i}.{name}.weight", x


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="folder of tokenizer.json and checkpoint.npz")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    bpe = json.loads((args.build / "tokenizer.json").read_text())["model"]
    vocab = sorted(bpe["vocab"], key=bpe["vocab"].get)
    c = model.Config(vocab=len(vocab))
    params = restore(args.build / "checkpoint.npz", model.init(jax.random.key(0), c))

    w = gguf.GGUFWriter(args.out, "llama")
    w.add_name("llcuda demo")
    w.add_basename("llcuda-demo")
    w.add_size_label(f"{sum(x.size for x in jax.tree.leaves(params)) / 1e6:.1f}M")
    w.add_author("The llcuda authors")
    w.add_organization("llcuda")
    w.add_repo_url("https://github.com/llcuda/llcuda")
    w.add_description(DESCRIPTION)
    w.add_license("mit")
    w.add_languages(["en"])
    w.add_tags(["text-generation", "stories"])
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_context_length(c.context)
    w.add_embedding_length(c.dim)
    w.add_block_count(c.layers)
    w.add_feed_forward_length(c.ffn)
    w.add_head_count(c.heads)
    w.add_head_count_kv(c.kv_heads)
    w.add_layer_norm_rms_eps(c.eps)
    w.add_rope_dimension_count(c.head_dim)
    w.add_rope_freq_base(c.rope_base)
    w.add_vocab_size(len(vocab))
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(vocab)
    w.add_token_types([gguf.TokenType.CONTROL if t == tokens.END else gguf.TokenType.NORMAL for t in vocab])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in bpe["merges"]])
    w.add_bos_token_id(BOS)
    w.add_eos_token_id(BOS)
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)
    for name, x in names(params):
        x = np.asarray(x, np.float32)
        if x.ndim == 1:
            w.add_tensor(name, x)
        else:
            q = gguf.GGMLQuantizationType.Q8_0
            w.add_tensor(name, gguf.quantize(x, q), raw_dtype=q)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
