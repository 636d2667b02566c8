#!/usr/bin/env python3
"""llcuda's quantised files beside llama.cpp's: the types, the errors, the logits.

Usage: quantize.py LLCUDA MODEL [TYPE...]      MODEL: a GGUF file of floats

Of each type the model is quantised by both. Every tensor must have the same type
and no larger root of the mean squared error; gguf-py must read the file, and
llama.cpp must compute from it what llcuda does. Needs numpy, gguf and
llama-cpp-python. Exits with 1 where something is worse.
"""
import ctypes
import json
import os
import subprocess
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np

TYPES = {"q2_k": 10, "q3_k_s": 11, "q3_k_m": 12, "q3_k_l": 13, "iq4_xs": 30, "iq4_nl": 25, "q4_0": 2, "q4_1": 3, "q4_k_s": 14, "q4_k_m": 15,
         "q5_0": 8, "q5_1": 9, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18, "q8_0": 7, "f16": 1, "bf16": 32}
TEXT = "Once upon a time, there was a little girl who asked what a computer is."


def by_llama_cpp(src, out, number):
    p = llama_cpp.llama_model_quantize_default_params()
    p.ftype = number
    assert llama_cpp.llama_model_quantize(src.encode(), out.encode(), ctypes.byref(p)) == 0


def floats(t):
    return gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64)


def compare(source, ours, theirs):
    """The largest and the mean ratio of errors, and the names of what is worse."""
    ratios, worse = [], []
    theirs = {t.name: t for t in theirs.tensors}
    ours = {t.name: t for t in ours.tensors}
    for t in source.tensors:
        a, b = ours[t.name], theirs[t.name]
        if a.tensor_type != b.tensor_type:
            worse.append(f"{t.name} is {a.tensor_type.name}, there {b.tensor_type.name}")
            continue
        x = floats(t)
        mine, other = (np.sqrt(((floats(q) - x) ** 2).mean()) for q in (a, b))
        if other > 0:
            ratios.append(mine / other)
        if mine > other * (1 + 1e-6):
            worse.append(f"{t.name}: error {mine:.6g}, there {other:.6g}")
    return max(ratios, default=1), np.mean(ratios or [1]), worse


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def divergence(binary, path, tmp):
    """Of llama.cpp's probabilities from llcuda's, over a sentence."""
    m = llama_cpp.Llama(path, n_ctx=128, logits_all=True, verbose=False, type_k=0, type_v=0, flash_attn=False)
    ids = m.tokenize(TEXT.encode(), special=False)
    m.eval(ids)
    names = os.path.join(tmp, "ids.json"), os.path.join(tmp, "logits.npy")
    with open(names[0], "w") as f:
        json.dump([ids], f)
    subprocess.run([binary, "eval", path, "--ids", names[0], "--logits", names[1]], check=True)
    p, q = log_softmax(np.load(names[1])), log_softmax(np.array(m.scores[: len(ids)]))
    return (np.exp(p) * (p - q)).sum(-1).mean()


def main(binary, path, *types):
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, None)
    failed, source = False, gguf.GGUFReader(path)
    with tempfile.TemporaryDirectory() as tmp:
        ours, theirs = os.path.join(tmp, "ours.gguf"), os.path.join(tmp, "theirs.gguf")
        for name in types or TYPES:
            by_llama_cpp(path, theirs, TYPES[name])
            subprocess.run([binary, "quantize", path, ours, "--type", name, "--force"], check=True, capture_output=True)
            most, mean, worse = compare(source, gguf.GGUFReader(ours), gguf.GGUFReader(theirs))
            kl = divergence(binary, ours, tmp)
            print(f"{name:7} error {mean:.3f} times llama.cpp's, at most {most:.3f}; divergence between the engines {kl:.6f}")
            for w in worse:
                print("  " + w)
            failed = failed or bool(worse) or kl > 0.01
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
