"""Writes numpy.json: random slices, broadcasts, reductions, products and
transposes of small tensors, with what NumPy makes of them.

    python numpy_cases.py > numpy.json
"""

import json
import random

import numpy as np

random.seed(5)


def dims(xs):
    return ", ".join(map(str, xs))


def slice_of(a):
    text, key = [], []
    for d in a.shape[: random.randint(1, a.ndim)]:
        if random.random() < 0.4:
            j = random.randint(-d, d - 1)
            text.append(str(j))
            key.append(j)
        else:
            lo, hi = (random.choice([None, *range(-d - 1, d + 2)]) for _ in "lh")
            text.append(f"{'' if lo is None else lo}:{'' if hi is None else hi}")
            key.append(slice(lo, hi))
    return "", f"A[{', '.join(text)}]", a[tuple(key)]


def broadcast(a):
    shape = [random.choice([d, 1]) for d in a.shape][random.randint(0, a.ndim - 1):]
    b = (np.arange(np.prod(shape, dtype=int)) + 1).reshape(shape)
    op = random.choice(["+", "-", "*", "/"] + (["//", "%"] if a.dtype.kind == "i" else []))
    e = f"A {op} B" if op in ("/", "//", "%") or random.random() < 0.5 else f"B {op} A"
    return f"B = (arange({b.size}) + 1).reshape({dims(shape)})\n", e, eval(e, {"A": a, "B": b})


def reduction(a):
    f = random.choice(["sum", "max", "min", "mean"])
    dim = random.choice([None, *range(-a.ndim, a.ndim)])
    keep = random.random() < 0.4
    args = ("" if dim is None else f"dim={dim}, ") + f"keepdim={str(keep).lower()}"
    return "", f"A.{f}({args})", getattr(np, f)(a, axis=dim, keepdims=keep)


def product(a):
    k, q = a.shape[-1], random.choice([1, 2, 3])
    shape = random.choice([[k], [k, q], [*a.shape[:-2], k, q]])
    b = np.arange(np.prod(shape, dtype=int), dtype=a.dtype).reshape(shape)
    src = f"B = arange({b.size}).to(A.dtype).reshape({dims(shape)})\n"
    if len(shape) == 2 and random.random() < 0.5:
        return src + "B = copy(B.T)\n", "A @ B.T", a @ b
    return src, "A @ B", a @ b


def softmax(a):
    dim = random.randrange(-a.ndim, a.ndim)
    x = np.exp(a.astype(float) - a.max(axis=dim, keepdims=True))
    return "", f"softmax(A, dim={dim})", (x / x.sum(axis=dim, keepdims=True)).astype(np.float32)


def place(a):
    dim = random.choice([None, *range(-a.ndim, a.ndim)])
    f = random.choice(["argmax", "argmin"])
    src = "A = A.to(i64) * 7\nA = A % 5\n"
    return src, f"A.{f}({'' if dim is None else f'dim={dim}'})", getattr(np, f)(a.astype(int) * 7 % 5, axis=dim)


def transposed(a):
    if a.ndim != 2:
        return None
    t = a.T
    e = random.choice(["A.T", "A.T.T", "A.T[0]", "A.T + A.T", "A.T.sum(0)", "A.T.reshape(-1)", "A.T[:, 0]"])
    return "", e, eval(e, {"A": a})


cases = []
while len(cases) < 300:
    shape = [random.choice([1, 2, 3, 4]) for _ in range(random.randint(1, 4))]
    n, off, real = int(np.prod(shape)), random.randint(-5, 5), random.random() < 0.5
    a = (np.arange(n, dtype=np.float32 if real else np.int64) - off).reshape(shape)
    made = random.choice([slice_of, broadcast, reduction, product, softmax, place, transposed])(a)
    if made is None or n > 48:
        continue
    src, e, r = made
    r = np.asarray(r)
    setup = f"A = (arange({n}, dtype={'f32' if real else 'i64'}) - {off}).reshape({dims(shape)})\n"
    cases.append({"src": setup + src, "expr": e, "shape": list(r.shape), "int": r.dtype.kind == "i",
                  "values": [float(f"{x:.7g}") for x in r.reshape(-1)]})
print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")
