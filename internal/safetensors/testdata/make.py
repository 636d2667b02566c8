#!/usr/bin/env python3
"""Writes the files of this folder with the safetensors package, and truth.json:
what that package reads from them. Needs safetensors 0.8 and numpy.

F6_* can be read by the package but not written; f6.safetensors is put together
here from the format's description."""
import ctypes
import json
import os
import struct

import numpy as np
import safetensors
from safetensors.numpy import save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = np.random.default_rng(1)

# Every type that the package writes, of 2 x 4 numbers each (F4: 2 x 8).
NAMES = {
    "BOOL": "bool", "F4": "float4_e2m1fn_x2", "U8": "uint8", "I8": "int8",
    "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16", "U16": "uint16", "F16": "float16", "BF16": "bfloat16",
    "I32": "int32", "U32": "uint32", "F32": "float32",
    "C64": "complex64", "F64": "float64", "I64": "int64", "U64": "uint64",
}
BYTES = {"BOOL": 1, "F4": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
         "I32": 4, "U32": 4, "F32": 4, "C64": 8, "F64": 8, "I64": 8, "U64": 8}
specs, alive = {}, []
for i, (dtype, name) in enumerate(NAMES.items()):
    n = 8 * BYTES.get(dtype, 1)
    buf = ctypes.create_string_buffer(bytes(1 if dtype == "BOOL" else rng.integers(256) for _ in range(n)), n)
    alive.append(buf)
    specs[f"layer.{19 - i}.{dtype}"] = safetensors.TensorSpec(
        dtype=name, shape=[2, 4], data_ptr=ctypes.addressof(buf), data_len=n)
with open("types.safetensors", "wb") as f:
    f.write(safetensors.serialize(specs, {"format": "pt", "z": "last?", "a": "first?", "empty": ""}))

# Names that JSON escapes, no dimension, none of a dimension.
odd = {
    'quote" back\\ slash/ <&>': np.arange(3, dtype=np.float32),
    "tab\t newline\n bell\x07 \u2028 del\x7f": np.arange(2, dtype=np.int16),
    "Wörter 字 😀": np.array([True, False, True]),
    "": np.array([7], dtype=np.uint8),
    "one number": np.array(2.5, dtype=np.float64),
    "none": np.zeros((0, 4), dtype=np.float32),
    "none either": np.zeros((3, 0, 2), dtype=np.float32),
}
save_file(odd, "odd.safetensors", {"note": 'a "b"\n\\ c\b\f\r\x01'})
save_file({}, "empty.safetensors")

header, data = {}, b""
for name, shape in [("F6_E2M3", [4]), ("F6_E3M2", [2, 6])]:
    n = int(np.prod(shape)) * 6 // 8
    header[name.lower()] = {"dtype": name, "shape": shape, "data_offsets": [len(data), len(data) + n]}
    data += bytes(rng.integers(256) for _ in range(n))
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
with open("f6.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + data)

# Two shards with their index, as transformers writes them.
shards = {
    "model-00001-of-00002.safetensors": {
        "model.embed_tokens.weight": rng.standard_normal((8, 4)).astype(np.float32),
        "model.layers.0.self_attn.q_proj.weight": rng.standard_normal((4, 4)).astype(np.float16)},
    "model-00002-of-00002.safetensors": {"model.norm.weight": np.ones(4, dtype=np.float32)},
}
os.makedirs("shards", exist_ok=True)
for name, tensors in shards.items():
    save_file(tensors, "shards/" + name, {"format": "pt"})
with open("shards/model.safetensors.index.json", "w") as f:
    total = sum(a.nbytes for s in shards.values() for a in s.values())
    f.write(json.dumps({"metadata": {"total_size": total}, "weight_map": {
        t: name for name, s in shards.items() for t in s}}, indent=2, sort_keys=True) + "\n")

truth = {}
for name in ["types.safetensors", "odd.safetensors", "empty.safetensors", "f6.safetensors", *("shards/" + s for s in shards)]:
    b = open(name, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    truth[name] = {
        "meta": list(json.loads(b[8:8 + n]).get("__metadata__", {}).items()),
        "tensors": {k: {"dtype": t["dtype"], "shape": t["shape"], "data": bytes(t["data"]).hex()}
                    for k, t in sorted(safetensors.deserialize(b))},
    }
with open("truth.json", "w") as f:
    json.dump(truth, f, indent=1, ensure_ascii=False)
    f.write("\n")
