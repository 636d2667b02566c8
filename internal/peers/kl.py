#!/usr/bin/env python3
"""How far the next-token distributions of llcuda and of llama.cpp are from the
model's own: mean Kullback-Leibler divergence from a float32 reference.

Usage: kl.py LLCUDA MODEL [TEXT]

The reference is the same file with its weights decoded to float32 (by gguf-py),
run by llama.cpp with a float32 cache: what the model is, without the rounding of
activations and products that fast engines do. Both engines use their defaults.
Needs numpy, gguf and llama-cpp-python. Exits with 1 when llcuda's divergence is
above 1.02 times llama.cpp's, or its perplexity more than 0.5 % off llama.cpp's
without being the nearer one to the reference.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np

WINDOW, WINDOWS = 256, 4  # 1,024 positions


def to_f32(path, out):
    """Writes the model with float32 weights and the same metadata."""
    src = gguf.GGUFReader(path)
    arch = src.fields["general.architecture"].contents()
    dst = gguf.GGUFWriter(out, arch)
    for name, f in src.fields.items():
        if name == "general.architecture" or name.startswith("GGUF."):
            continue
        sub = f.types[-1] if f.types[0] == gguf.GGUFValueType.ARRAY else None
        dst.add_key_value(name, f.contents(), f.types[0], sub)
    for t in src.tensors:
        dst.add_tensor(t.name, gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32))
    dst.write_header_to_file()
    dst.write_kv_data_to_file()
    dst.write_tensors_to_file()
    dst.close()


def windows_of(path, text):
    m = llama_cpp.Llama(path, vocab_only=True, verbose=False)
    ids = m.tokenize(text.encode(), add_bos=False, special=False)
    bos = [m.token_bos()] if llama_cpp.llama_vocab_get_add_bos(llama_cpp.llama_model_get_vocab(m.model)) else []
    step = WINDOW - len(bos)
    return [bos + ids[i * step : (i + 1) * step] for i in range(WINDOWS)]


def by_llama_cpp(path, windows, **options):
    m = llama_cpp.Llama(path, n_ctx=WINDOW, n_batch=WINDOW, logits_all=True, verbose=False, **options)
    for w in windows:
        m.reset()
        m.eval(w)
        yield np.array(m.scores[: len(w)])


def by_llcuda(binary, path, windows, folder):
    ids, out = os.path.join(folder, "ids.json"), os.path.join(folder, "logits.npy")
    with open(ids, "w") as f:
        json.dump(windows, f)
    subprocess.run([binary, "eval", path, "--ids", ids, "--logits", out], check=True)
    logits = np.load(out, mmap_mode="r")
    return [logits[i * WINDOW : (i + 1) * WINDOW] for i in range(len(windows))]


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Score:
    """Divergence from the reference, and negative log likelihood of the text."""

    def __init__(self):
        self.kl, self.nll, self.same = [], [], []

    def add(self, reference, logits, ids):
        for i in range(0, len(ids), 64):  # a large vocabulary in float64 is large
            p, q = log_softmax(reference[i : i + 64]), log_softmax(logits[i : i + 64])
            self.kl.extend((np.exp(p) * (p - q)).sum(-1))
            self.same.extend(p.argmax(-1) == q.argmax(-1))
            self.nll.extend(-q[j, t] for j, t in enumerate(ids[i + 1 : i + 65]))

    def __str__(self):
        kl = np.array(self.kl)
        return (f"mean KL {kl.mean():.6f} ± {kl.std() / math.sqrt(len(kl)):.6f}, perplexity {self.perplexity():.4f}, "
                f"same first choice {100 * np.mean(self.same):.1f} %")

    def perplexity(self):
        return math.exp(np.mean(self.nll))


def main(binary, path, text=os.path.join(os.path.dirname(__file__), "war-and-peace.txt")):
    with open(text, encoding="utf-8") as f:
        windows = windows_of(path, f.read())
    assert all(len(w) == WINDOW for w in windows), "the text is too short"
    us, them, itself = Score(), Score(), Score()
    with tempfile.TemporaryDirectory() as folder:
        f32 = os.path.join(folder, "f32.gguf")
        to_f32(path, f32)
        runs = zip(windows, by_llama_cpp(f32, windows, type_k=0, type_v=0, flash_attn=False), by_llama_cpp(path, windows),
                   by_llcuda(binary, path, windows, folder))
        for ids, reference, theirs, ours in runs:
            itself.add(reference, reference, ids)
            them.add(reference, theirs, ids)
            us.add(reference, ours, ids)
    print(f"{os.path.basename(path)}, {len(us.kl)} positions\n  llcuda    {us}\n  llama.cpp {them}\n  reference {itself}")
    ratio = np.mean(us.kl) / np.mean(them.kl)
    off = us.perplexity() / them.perplexity() - 1
    nearer = abs(us.perplexity() - itself.perplexity()) <= abs(them.perplexity() - itself.perplexity())
    print(f"  KL {ratio:.4f} times llama.cpp's (at most 1.02), perplexity {100 * off:+.2f} % (at most ±0.5, or nearer the reference)")
    return 0 if ratio <= 1.02 and (abs(off) <= 0.005 or nearer) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
