"""Writes golden.ipynb with Python's nbformat, and loose.ipynb: the same notebook
as another program may have written it. Run once, the files are committed."""

import json
import os

import nbformat

here = os.path.dirname(os.path.abspath(__file__))
text = 'tabs\t"quotes" \\ back / \b\f\r\n\x0b\x1c\x85\u2028\u2029 end\x7f é 漢字 😀 <&>\r\nlast'
nb = nbformat.from_dict({
    "nbformat": 4, "nbformat_minor": 5, "zz_unknown": {"b": [], "a": {}, "c": [1, [2, {"x": None}]]},
    "metadata": {
        "kernelspec": {"display_name": "llcuda", "language": "llcuda", "name": "llcuda"},
        "numbers": [0, -0.0, 1.0, 1e5, 1e15, 1e16, 1.5e300, 1e-4, 1e-5, 123456789012345678901234567890, -7, 0.1, True, False, 1e22, 5e-324],
    },
    "cells": [
        {"cell_type": "markdown", "id": "a-1", "metadata": {}, "source": "# Title\n\n" + text,
         "attachments": {"x.svg": {"image/svg+xml": "<svg>\n</svg>", "image/png": "iVBORw0KGgo=\n"}}},
        {"cell_type": "raw", "id": "a-2", "metadata": {"format": "x"}, "source": ""},
        {"cell_type": "code", "id": "a-3", "metadata": {"tags": ["raises-exception"], "unknown": {"k": 1}},
         "execution_count": 12, "source": text, "extra": "kept", "outputs": [
            {"output_type": "stream", "name": "stdout", "text": text},
            {"output_type": "display_data", "metadata": {}, "data": {
                "text/plain": "a\nb\n", "text/html": "<b>\n</b>", "application/javascript": "x\ny",
                "application/json": {"l": ["a\n", "b"], "s": "x\ny"}, "application/vnd.x+json": ["a", "b"],
                "image/svg+xml": "<svg>\n", "image/png": "AAAA\nBBBB"}},
            {"output_type": "execute_result", "execution_count": 12, "metadata": {"k": [1.50]}, "data": {"text/plain": ""}},
            {"output_type": "error", "ename": "E", "evalue": "v\nw", "traceback": ["\x1b[31mE\x1b[0m\nx", "y"]},
        ]},
        {"cell_type": "code", "id": "a-4", "metadata": {}, "execution_count": None, "source": "x", "outputs": []},
    ],
})
with open(os.path.join(here, "golden.ipynb"), "w", encoding="utf-8", newline="") as f:
    nbformat.write(nb, f)
with open(os.path.join(here, "loose.ipynb"), "w") as f:
    json.dump(nb, f)
