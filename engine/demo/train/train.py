"""Trains the demo model for a given time: `python train.py --minutes 60`.

Stories are told as they are needed, so each is seen once. The step size follows the clock, not the number of
steps: whatever the machine, the run ends on time and annealed. The matrices of the blocks learn by Muon, the rest by Adam.
"""

import argparse
import itertools
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import model
import tokens
from stories import Teller

BOS = 0
WIDTH = 192  # tokens of the longest document: nineteen of twenty are shorter


def documents(tokenizer, seed):
    """Yields (ids, weights): bos, prompt, story, and the weight of predicting each; a prompt is given, not learned."""
    teller = Teller(seed)
    while True:
        prompt, rest = teller.story()
        given = tokenizer.encode(prompt).ids
        told = tokenizer.encode(rest).ids
        learned = 0.0 if rest.startswith("\n") else 1.0
        yield [BOS] + given + told, [1.0] + [learned] * len(given) + [1.0] * len(told)


def batches(tokenizer, seed, rows):
    """Yields (ids, weights), (rows, WIDTH+1) each: a document a row, padded with ends. Longer documents are left out."""
    short = (d for d in documents(tokenizer, seed) if len(d[0]) <= WIDTH)
    while True:
        ids, weights = np.full((rows, WIDTH + 1), BOS, np.int32), np.zeros((rows, WIDTH + 1), np.float32)
        for row, (told, learned) in enumerate(itertools.islice(short, rows)):
            n = len(told)
            ids[row, :n], weights[row, :n] = told, learned
            weights[row, n] = 1  # the end
        yield ids, weights


def orthogonal(g, steps=4):
    """The orthogonal matrix nearest to g, roughly, by Newton and Schulz's iteration in bfloat16 (Muon: https://kellerjordan.github.io/posts/muon/)."""
    x = (g / (jnp.linalg.norm(g) + 1e-7)).astype(jnp.bfloat16)
    if x.shape[0] > x.shape[1]:
        return orthogonal(g.T, steps).T
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.astype(jnp.float32)


def start(params):
    """The optimizer's state: two moments (a matrix uses the first alone) and the number of steps."""
    return jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), jnp.zeros(())


def update(params, grads, state, rate, decay=0.02):
    """One step: the blocks' matrices by Muon, the rest by Adam with a seventh of the rate."""
    first, second, n = state
    n += 1
    b1, b2 = 0.9, 0.98

    def one(path, p, g, m, v):
        if path[0].key == "blk" and p.ndim == 2:
            m = 0.95 * m + g
            step = orthogonal(g + 0.95 * m) * max(1, p.shape[0] / p.shape[1]) ** 0.5 + decay * p
            return p - rate * step, m, v
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        return p - 0.15 * rate * (m / (1 - b1**n)) / (jnp.sqrt(v / (1 - b2**n)) + 1e-8), m, v

    out = jax.tree.map_with_path(one, params, grads, first, second)
    params, first, second = (jax.tree.map(lambda o: o[i], out, is_leaf=lambda o: isinstance(o, tuple)) for i in range(3))
    return params, (first, second, n)


def rate(progress, warmup=0.02, decay=0.9):
    """The step size's share of its maximum, progress being the share of time gone: up, level, down for most of it to 1 %."""
    return max(0.01, min(1.0, progress / warmup, (1 - progress) / decay))


def save(path, params):
    flat = {jax.tree_util.keystr(k, simple=True, separator="."): np.asarray(v) for k, v in jax.tree_util.tree_leaves_with_path(params)}
    np.savez(path.with_suffix(".tmp.npz"), **flat)
    path.with_suffix(".tmp.npz").rename(path)


def restore(path, like):
    """The parameters in path, in the shape of like."""
    with np.load(path) as f:
        return jax.tree.map_with_path(lambda k, _: jnp.asarray(f[jax.tree_util.keystr(k, simple=True, separator=".")]), like)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build"), help="folder of tokenizer.json and checkpoint.npz")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rows", type=int, default=8, help="stories a step")
    parser.add_argument("--rate", type=float, default=0.015)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if not (args.out / "tokenizer.json").exists():
        tokens.train(args.out / "tokenizer.json")
    tokenizer = tokens.load(args.out / "tokenizer.json")
    c = model.Config(vocab=tokenizer.get_vocab_size())
    params = model.init(jax.random.key(args.seed), c)
    checkpoint = args.out / "checkpoint.npz"
    if args.resume:
        params = restore(checkpoint, params)
    print(f"{sum(x.size for x in jax.tree.leaves(params)):,} parameters", flush=True)
    state = start(params)

    def loss(params, ids, weights):
        x = model.logits(params, ids[:, :-1], c)
        right = jnp.take_along_axis(x, ids[:, 1:, None], -1)[..., 0]
        each = (jax.nn.logsumexp(x, -1) - right) * weights[:, 1:]
        return each.sum() / weights[:, 1:].sum()

    @jax.jit
    def step(params, state, ids, weights, rate):
        value, grads = jax.value_and_grad(loss)(params, ids, weights)
        params, state = update(params, grads, state, rate)
        return params, state, value

    begin, shown, saved, seen, mean = time.time(), 0, time.time(), 0, None
    for ids, weights in batches(tokenizer, args.seed, args.rows):
        elapsed = time.time() - begin
        if elapsed > args.minutes * 60:
            break
        seen += int(weights[:, 1:].sum())
        params, state, value = step(params, state, ids, weights, args.rate * rate(elapsed / 60 / args.minutes))
        mean = float(value) if mean is None else 0.95 * mean + 0.05 * float(value)
        if elapsed - shown > 20:
            shown = elapsed
            print(f"{elapsed:6.0f} s  {seen / 1e6:6.2f} M tokens  {seen / elapsed:6.0f} tokens/s  loss {mean:.4f}", flush=True)
        if time.time() - saved > 180:
            saved = time.time()
            save(checkpoint, params)
    save(checkpoint, params)
    print(f"{seen:,} tokens, loss {mean:.4f}, {time.time() - begin:.0f} s")


if __name__ == "__main__":
    main()
