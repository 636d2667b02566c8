"""Writes the golden vectors of the storage formats.

    LIB=path/to/libggml-base.so python make_golden.py

    NAME.dec  blocks of random bytes with finite scales, and what they stand
              for as float32: by gguf-py, or by ggml for the formats that
              gguf-py lacks, and where both can, they must agree
    x.f32     numbers to encode, float32
    books.sha256  of the code books of iq1, iq2 and iq3, as float32
    NAME.enc  x.f32 encoded: by gguf-py where it can, else by ggml without an
              importance matrix
    w.f32     how much each number of x.f32 counts, float32
    NAME.fit  x.f32 encoded by ggml with these as importance matrix

Needs numpy, gguf 0.19 and a build of ggml 0.25 (llama.cpp of November 2026).
"""
import ctypes
import hashlib
import os
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T, quants

here = Path(__file__).parent
rng = np.random.default_rng(20261123)
lib = ctypes.CDLL(os.environ["LIB"])


class Traits(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("block", ctypes.c_int64), ("interleave", ctypes.c_int64),
                ("size", ctypes.c_size_t), ("quantised", ctypes.c_bool),
                ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
                ("from_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64))]


lib.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
lib.ggml_quantize_chunk.restype = ctypes.c_size_t
lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]

# Where the halves (or, of q8_k, the float) of a block lie.
scales = {"q4_0": [0], "q4_1": [0, 2], "q5_0": [0], "q5_1": [0, 2], "q8_0": [0], "q8_1": [0, 2],
          "q2_k": [80, 82], "q3_k": [108], "q4_k": [0, 2], "q5_k": [0, 2], "q6_k": [208], "q8_k": [],
          "iq2_xxs": [0], "iq2_xs": [0], "iq2_s": [0], "iq3_xxs": [0], "iq3_s": [0], "iq1_s": [0], "iq1_m": [],
          "iq4_nl": [0], "iq4_xs": [0], "tq1_0": [52], "tq2_0": [64], "mxfp4": [], "nvfp4": [], "q1_0": [0], "q2_0": [0],
          "bf16": []}
numbers = {"q1_0": 41, "q2_0": 42}  # gguf 0.19 does not know them


def number(name):
    return numbers.get(name) or T[name.upper()].value


def shape(name):
    t = lib.ggml_get_type_traits(number(name)).contents
    return t.block, t.size


def finite(n):
    """Random halves that are finite, a few of them subnormal, negative or 0."""
    h = rng.integers(0, 1 << 16, n, dtype=np.uint16)
    return np.where(h & 0x7c00 == 0x7c00, h & 0x83ff, h)


def blocks(name, n):
    _, size = shape(name)
    b = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in scales[name]:
        b[:, at:at + 2] = finite(n).view(np.uint8).reshape(n, 2)
    if name == "q8_k":
        b[:, :4] = rng.normal(0, 1, n).astype(np.float32).view(np.uint8).reshape(n, 4)
    if name == "iq1_m":  # the top nibbles of four 16-bit words are a half
        h = finite(n)
        for i in range(4):
            b[:, 49 + 2 * i] = b[:, 49 + 2 * i] & 15 | ((h >> (4 * i) & 15) << 4).astype(np.uint8)
    if name == "mxfp4":
        b[:, 0] = np.minimum(b[:, 0], 254)
        b[0, 0], b[1, 0] = 0, 1
    if name == "nvfp4":
        b[0, :4] = [0, 1, 127, 126]
        b[:, :4] &= 127
    if name == "bf16":
        h = b.view(np.uint16)
        h[h & 0x7f80 == 0x7f80] &= 0x807f
    return b


def by_ggml(name, b):
    t = lib.ggml_get_type_traits(number(name)).contents
    if not t.to_float:
        return None
    out = np.empty(len(b) * t.block, np.float32)
    t.to_float(b.ctypes.data, out.ctypes.data, out.size)
    return out


def by_gguf(name, b):
    if name in numbers or T[name.upper()] not in quants._type_traits:
        return None
    try:
        return quants.dequantize(b, T[name.upper()]).ravel()
    except NotImplementedError:
        return None


def decode(name):
    b = blocks(name, max(2, 512 // shape(name)[0]))
    a, c = by_gguf(name, b), by_ggml(name, b)
    if a is None and c is None:  # activations: d·q
        d = b[:, :2].copy().view(np.float16).astype(np.float32) if name == "q8_1" else b[:, :4].copy().view(np.float32)
        at = 4
        a = (d * b[:, at:at + shape(name)[0]].view(np.int8).astype(np.float32)).ravel()
    if a is not None and c is not None and not np.array_equal(a.view(np.uint32), c.view(np.uint32)):
        print(f"{name}: gguf-py and ggml differ in {np.sum(a.view(np.uint32) != c.view(np.uint32))} of {a.size}")
    want = a if a is not None else c
    assert np.isfinite(want).all(), name
    (here / f"{name}.dec").write_bytes(b.tobytes() + want.astype("<f4").tobytes())
    return "gguf-py" if by_gguf(name, b) is not None else "ggml" if c is not None else "d*q"


def inputs():
    """8 blocks of 256: as weights are, with outliers, of one sign, tiny, huge, ternary, constant, zero."""
    n = rng.normal(0, 0.02, (9, 256))
    n[1] *= rng.choice([1, 1, 1, 12], 256)
    n[2] = abs(n[2]) + 0.01
    n[3] *= 1e-4
    n[4] *= 1e5
    n[5] = rng.choice([-0.7, 0, 0.7], 256)
    n[6] = 0.3
    n[7] = 0
    n[8] = rng.uniform(-1, 1, 256)
    return n.astype(np.float32)


def encode(name, x):
    if name not in numbers:
        try:
            return quants.quantize(x, T[name.upper()]).tobytes(), "gguf-py"
        except NotImplementedError:
            pass
    block, size = shape(name)
    out = np.zeros(x.size // block * size, np.uint8)
    if name in ("q8_1", "q8_k"):
        f = getattr(lib, {"q8_1": "quantize_row_q8_1_ref", "q8_k": "quantize_row_q8_K_ref"}[name])
        f(x.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(x.size))
    else:
        lib.ggml_quantize_chunk(number(name), x.ctypes.data, out.ctypes.data, 0, x.size // 256, 256, None)
    return out.tobytes(), "ggml"


books = [quants.IQ2_XXS, quants.IQ2_XS, quants.IQ2_S, quants.IQ3_XXS, quants.IQ3_S, quants.IQ1_S]
for b in books:
    b.init_grid()
sums = [f"{hashlib.sha256(b.grid.astype('<f4').tobytes()).hexdigest()}  {b.qtype.name.lower()}\n" for b in books]
(here / "books.sha256").write_text("".join(sums))

x = inputs()
(here / "x.f32").write_bytes(x.astype("<f4").tobytes())
for name in scales:
    line = [name, "decoded by " + decode(name)]
    if not name.startswith(("iq1", "iq2", "iq3")):
        data, who = encode(name, x)
        (here / f"{name}.enc").write_bytes(data)
        line.append("encoded by " + who)
    print(*line, sep="\t")

w = np.random.default_rng(20261128).lognormal(0, 1.5, x.shape).astype(np.float32)
(here / "w.f32").write_bytes(w.astype("<f4").tobytes())
for name in ("q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs"):
    block, size = shape(name)
    out = np.zeros((len(x), 256 // block * size), np.uint8)
    for i in range(len(x)):  # the matrix is one row, for all rows of a call
        lib.ggml_quantize_chunk(number(name), x[i].ctypes.data, out[i].ctypes.data, 0, 1, 256, w[i].ctypes.data)
    (here / f"{name}.fit").write_bytes(out.tobytes())
