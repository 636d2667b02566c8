#!/usr/bin/env python3
"""Decode and prefill speed of llcuda beside llama.cpp, in one run.

Usage: speed.py LLCUDA LLAMA_BENCH MODEL…

The two take turns, so that what else the machine does hits both alike; the
figure of each is the median over the turns, and the ratio is what counts.
"""
import json
import os
import statistics
import subprocess
import sys

TURNS = int(os.environ.get("TURNS", 5))
THREADS = os.environ.get("THREADS", str(os.cpu_count()))
PROMPT, GENERATE = "128", "64"


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def ours(binary, model):
    rows = run([binary, "bench", model, "-p", PROMPT, "-n", GENERATE, "-t", THREADS, "-r", "3", "--json"])
    return {r["test"][:2]: r["tokens_per_second"] for r in rows}


def theirs(binary, model):
    rows = run([binary, "-m", model, "-p", PROMPT, "-n", GENERATE, "-t", THREADS, "-r", "3", "-fa", "1", "-o", "json"])
    return {"pp" if r["n_prompt"] else "tg": r["avg_ts"] for r in rows}


def main(llcuda, llama_bench, *models):
    print(f"{'model':40} {'test':6} {'llcuda':>9} {'llama.cpp':>9} {'ratio':>6}  (of {TURNS} turns: lowest, highest)")
    for model in models:
        turns = [(ours(llcuda, model), theirs(llama_bench, model)) for _ in range(TURNS)]
        for test, n in (("pp", PROMPT), ("tg", GENERATE)):
            a, b = [o[test] for o, _ in turns], [t[test] for _, t in turns]
            ratios = sorted(x / y for x, y in zip(a, b))
            print(f"{os.path.basename(model):40} {test + n:6} {statistics.median(a):9.1f} {statistics.median(b):9.1f} "
                  f"{statistics.median(ratios):6.2f}  ({ratios[0]:.2f}, {ratios[-1]:.2f})", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
