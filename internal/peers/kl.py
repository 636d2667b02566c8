#!/usr/bin/env python3
"""How far the next-token distributions of llcuda and of llama.cpp are from the
model's own: mean Kullback-Leibler divergence from a float32 reference.

Usage: kl.py LLCUDA MODEL [TEXT]     WINDOWS=8 in the environment shortens it

The reference is the same file with its weights decoded to float32 (by gguf-py),
run by llama.cpp with a float32 cache: what the model is, without the rounding of
activations and products that fast engines do. Both engines use their defaults.
Needs numpy, gguf and llama-cpp-python. Exits with 1 when llcuda's divergence is
above 1.02 times llama.cpp's, or its perplexity more than 0.5 % off llama.cpp's;
the reference's perplexity, printed beside the two, says which of them is off.
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

WINDOW = 256
WINDOWS = int(os.environ.get("WINDOWS", 32))  # 8,192 positions


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
    return [bos + ids[i * step : (i + 1) * step] for i in range(min(WINDOWS, len(ids) // step))]


def by_llama_cpp(path, windows, **options):
    m = llama_cpp.Llama(path, n_ctx=WINDOW, n_batch=WINDOW, logits_all=True, verbose=False,
                        n_threads=os.cpu_count(), n_threads_batch=os.cpu_count(), **options)
    for w in windows:
        m.reset()
        m.eval(w)
        yield np.array(m.scores[: len(w)])


def by_llcuda(binary, path, windows, folder):
    ids, out = os.path.join(folder, "ids.json"), os.path.join(folder, "logits.npy")
    for w in windows:  # one at a time: logits of a large vocabulary are large
        with open(ids, "w") as f:
            json.dump([w], f)
        subprocess.run([binary, "eval", path, "--ids", ids, "--logits", out], check=True)
        yield np.load(out)


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Score:
    """Divergence from the reference, and negative log likelihood of the text."""

    def __init__(self):
        self.kl, self.nll, self.same = [], [], []

    def add(self, p, weight, q, ids):
        """p, q: logarithms of probabilities, of the reference and of the engine; weight: exp(p); ids: what follows."""
        self.nll.extend(-q[j, t] for j, t in enumerate(ids))
        if q is not p:
            self.kl.extend((weight * (p - q)).sum(-1))
            self.same.extend(p.argmax(-1) == q.argmax(-1))

    def __str__(self):
        kl = np.array(self.kl)
        return (f"mean KL {kl.mean():.6f} ± {kl.std() / math.sqrt(len(kl)):.6f}, perplexity {self.perplexity():.4f}, "
                f"same first choice {100 * np.mean(self.same):.1f} %")

    def perplexity(self):
        return math.exp(np.mean(self.nll))


def main(binary, path, text=os.path.join(os.path.dirname(__file__), "war-and-peace.txt")):
    with open(text, encoding="utf-8") as f:
        windows = windows_of(path, f.read())
    assert windows, "the text is shorter than a window"
    us, them, itself = Score(), Score(), Score()
    with tempfile.TemporaryDirectory() as folder:
        f32 = os.path.join(folder, "f32.gguf")
        to_f32(path, f32)
        runs = zip(windows, by_llama_cpp(f32, windows, type_k=0, type_v=0, flash_attn=False), by_llama_cpp(path, windows),
                   by_llcuda(binary, path, windows, folder))
        for ids, reference, theirs, ours in runs:
            for i in range(0, WINDOW, 16):  # a large vocabulary in float64 is large
                p, q, r = (log_softmax(x[i : i + 16]) for x in (reference, theirs, ours))
                weight, follows = np.exp(p), ids[i + 1 : i + 17]
                itself.add(p, weight, p, follows)
                them.add(p, weight, q, follows)
                us.add(p, weight, r, follows)
    print(f"{os.path.basename(path)}, {len(us.kl)} positions\n  llcuda    {us}\n  llama.cpp {them}\n  reference perplexity {itself.perplexity():.4f}")
    ratio = np.mean(us.kl) / np.mean(them.kl)
    off = us.perplexity() / them.perplexity() - 1
    print(f"  KL {ratio:.4f} times llama.cpp's (at most 1.02), perplexity {100 * off:+.2f} % off llama.cpp's (at most ±0.5)")
    print("  perplexity beside the reference's: " + ", ".join(
        f"{name} {100 * (s.perplexity() / itself.perplexity() - 1):+.2f} %" for name, s in (("llcuda", us), ("llama.cpp", them))))
    return 0 if ratio <= 1.02 and abs(off) <= 0.005 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
