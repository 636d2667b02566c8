"""Writes importance.dat and importance.gguf: one importance matrix in the older
form and in the newer one, as tools/imatrix of llama.cpp writes them.

    python make_importance.py

The GGUF file is written by gguf-py (0.19); of the older form there is no
library, so that the bytes are put together after save_imatrix_legacy of
llama.cpp (tools/imatrix/imatrix.cpp).
"""
import struct
from pathlib import Path

import gguf
import numpy as np

here = Path(__file__).parent
CHUNKS, TOKENS, TEXT = 3, 512, "text.txt"
sums = {"blk.0.attn_q.weight": np.arange(1, 5, dtype=np.float32) * 1536, "blk.0.ffn_up.weight": np.array([6, 0, 3, 9], np.float32) * 1536}

w = gguf.GGUFWriter(here / "importance.gguf", None)
w.add_type("imatrix")
w.add_array("imatrix.datasets", [TEXT])
w.add_uint32("imatrix.chunk_count", CHUNKS)
w.add_uint32("imatrix.chunk_size", TOKENS)
for name, v in sums.items():
    w.add_tensor(name + ".in_sum2", v[None])
    w.add_tensor(name + ".counts", np.array([[CHUNKS * TOKENS]], np.float32))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()

b = struct.pack("<i", len(sums))
for name, v in sums.items():
    b += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", CHUNKS, len(v)) + (v / (CHUNKS * TOKENS) * CHUNKS).tobytes()
b += struct.pack("<ii", CHUNKS, len(TEXT)) + TEXT.encode()
(here / "importance.dat").write_bytes(b)
