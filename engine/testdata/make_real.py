#!/usr/bin/env python3
"""Makes real.json: how llama.cpp continues some texts, with its margin between
the first and the second choice at each token, in logits.

Usage: make_real.py FOLDER, the one that `make testdata` fills. Needs llama-cpp-python.
"""
import json
import os
import sys

import llama_cpp
import numpy as np

PROMPTS = ["The capital of France is", "Once upon a time, there was a little girl who", "def fibonacci(n):",
           "Water boils at a temperature of"]
real = {}
for name in ("smollm2-135m-q4_1", "gemma-3-270m-q4_k_m"):
    m = llama_cpp.Llama(os.path.join(sys.argv[1], name + ".gguf"), n_ctx=128, logits_all=True, verbose=False)
    real[name] = []
    for p in PROMPTS:
        ids = m.tokenize(p.encode(), add_bos=True, special=False)
        m.reset()
        m.eval(ids)
        case = {"prompt": p, "ids": ids, "next": [], "margin": []}
        for _ in range(40):
            logits = m.scores[m.n_tokens - 1]
            second, first = np.argsort(logits)[-2:]
            case["next"].append(int(first))
            case["margin"].append(round(float(logits[first] - logits[second]), 3))
            m.eval([int(first)])
        real[name].append(case)
with open(os.path.join(os.path.dirname(__file__), "real.json"), "w") as f:
    f.write("{\n" + ",\n".join(f'"{n}": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]" for n, cases in real.items()) + "\n}\n")
