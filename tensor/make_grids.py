"""Writes grids.bin, the code books of the iq1, iq2 and iq3 formats.

They have no formula: I. Kawrakow found them by search over real weights, and
they are part of the format (llama.cpp, MIT licence, ggml/src/ggml-common.h:
iq2xxs_grid and its siblings). gguf-py (pip install gguf) has them as packed
hexadecimal text; this is the same packing as bytes.

    python make_grids.py
"""
from pathlib import Path

from gguf import quants

books = [quants.IQ2_XXS, quants.IQ2_XS, quants.IQ2_S, quants.IQ3_XXS, quants.IQ3_S, quants.IQ1_S]
Path(__file__).with_name("grids.bin").write_bytes(b"".join(bytes.fromhex(b.grid_hex.decode()) for b in books))
