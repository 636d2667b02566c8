"""Makes bert-uncased.gguf.gz, bert-uncased.gguf.out and wordpiece.sha256 from transformers' tokenizer of BERT.

    pip install tokenizers==0.22.2 gguf==0.19.0
    go test -run TestWriteMixed . -args -mixed mixed.txt          # writes mixed.txt.old too
    python testdata/wordpiece.py vocab.txt mixed.txt.old testdata  # vocab.txt: bert-base-uncased's
"""
import gzip
import hashlib
import pathlib
import sys

import gguf
import numpy as np
from tokenizers import BertWordPieceTokenizer

vocab, mixed, out = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
tokens = open(vocab, encoding="utf-8").read().split("\n")[:-1]
uncased = {t: i for i, t in enumerate(tokens)}
runes = {t: i for i, t in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])}
for r in range(1, 0x2FA20):
    if not 0xD800 <= r < 0xE000 and r != 0x2581:
        runes[chr(r)] = len(runes)
        runes["##" + chr(r)] = len(runes)


def tokenizer(v, lower=True, strip=True):
    return BertWordPieceTokenizer(v, lowercase=lower, strip_accents=strip)


def phantom(t):
    """A token as convert_hf_to_gguf.py of llama.cpp writes it."""
    if t.startswith("[") and t.endswith("]"):
        return t
    return t[2:] if t.startswith("##") else "\u2581" + t


w = gguf.GGUFWriter(out / "bert-uncased.gguf", "bert")
w.add_tokenizer_model("bert")
w.add_token_list([phantom(t) for t in tokens])
special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
w.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
w.add_unk_token_id(uncased["[UNK]"])
w.add_sep_token_id(uncased["[SEP]"])
w.add_pad_token_id(uncased["[PAD]"])
w.add_uint32("tokenizer.ggml.cls_token_id", uncased["[CLS]"])
w.add_mask_token_id(uncased["[MASK]"])
w.write_header_to_file(), w.write_kv_data_to_file(), w.close()
plain = out / "bert-uncased.gguf"
(out / "bert-uncased.gguf.gz").write_bytes(gzip.compress(plain.read_bytes(), 9, mtime=0))
plain.unlink()

t = tokenizer(uncased)
texts = (out / "ggml-vocab-gpt-2.gguf.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
(out / "bert-uncased.gguf.inp").write_text("\n__ggml_vocab_test__\n".join(texts), encoding="utf-8")
with open(out / "bert-uncased.gguf.out", "w") as f:
    for text in texts[:-1]:
        f.write(" " + " ".join(map(str, t.encode(text, add_special_tokens=False).ids)) + "\n")

text = open(mixed, "rb").read().decode("utf-8", "replace")
with open(out / "wordpiece.sha256", "w") as f:
    for name, v, lower, strip in [("bert-uncased", uncased, 1, 1), ("runes", runes, 1, 1), ("runes", runes, 0, 0), ("runes", runes, 1, 0)]:
        ids = np.array(tokenizer(v, bool(lower), bool(strip)).encode(text).ids, "<i4")
        f.write(f"{name} {'lower' if lower else 'cased'} {'strip' if strip else 'accents'} {hashlib.sha256(ids.tobytes()).hexdigest()}\n")
        print(name, lower, strip, len(ids), "ids,", int((ids == v["[UNK]"]).sum()), "unknown")
