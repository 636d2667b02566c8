"""Makes mixed.sha256 and pre.sha256 from llama.cpp.

    pip install llama-cpp-python==0.3.36 gguf==0.19.0
    go test -run TestWriteMixed . -args -mixed mixed.txt                         # or -mixedsize 262144 for the second one
    ulimit -s unlimited                                                          # its regular expressions recurse
    python testdata/hashes.py mixed.txt VOCAB.gguf ... > testdata/mixed.sha256   # then add .gz to the committed ones
    python testdata/hashes.py mixed.txt --pre gpt-2 qwen2 ... > testdata/pre.sha256
"""

import ctypes
import hashlib
import os
import sys
import tempfile

import gguf
import llama_cpp as lc


def sha(b):
    return hashlib.sha256(b).hexdigest()


def vocab(path):
    p = lc.llama_model_default_params()
    p.vocab_only = True
    model = lc.llama_model_load_from_file(path.encode(), p)
    return model, lc.llama_model_get_vocab(model)


def encode(v, text, special):
    ids = (ctypes.c_int32 * (len(text) + 8))()
    n = lc.llama_tokenize(v, text, len(text), ids, len(ids), special, special)
    return bytes(ids)[: 4 * n], ids, n


def decode(v, ids, n, size):
    buf = ctypes.create_string_buffer(4 * size)
    size = lc.llama_detokenize(v, ids, n, buf, len(buf), False, True)
    return buf.raw[:size]


def pairs(path, pre):
    """A vocabulary of all bytes and all pairs of bytes."""
    plain = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = iter(range(256, 512))
    d = [chr(b) if b in plain else chr(next(hidden)) for b in range(256)]
    w = gguf.GGUFWriter(path, "gpt2")
    w.add_block_count(1), w.add_context_length(1024), w.add_embedding_length(768)
    w.add_head_count(12), w.add_layer_norm_eps(1e-5), w.add_feed_forward_length(3072)
    w.add_tokenizer_model("gpt2"), w.add_tokenizer_pre(pre)
    w.add_token_list(d + [a + b for a in d for b in d])
    w.add_token_types([1] * (256 + 65536))
    w.add_token_merges([a + " " + b for a in d for b in d])
    w.write_header_to_file(), w.write_kv_data_to_file(), w.close()


@lc.llama_log_callback
def quiet(level, text, data):
    pass


lc.llama_log_set(quiet, ctypes.c_void_p(0))
lc.llama_backend_init()
text = open(sys.argv[1], "rb").read()
if sys.argv[2] == "--pre":
    for name in sorted(sys.argv[3:]):
        with tempfile.TemporaryDirectory() as dir:
            pairs(os.path.join(dir, "v.gguf"), name)
            model, v = vocab(os.path.join(dir, "v.gguf"))
            print(name, sha(encode(v, text, False)[0]), flush=True)
            lc.llama_model_free(model)
else:
    for path in sys.argv[2:]:
        model, v = vocab(path)
        plain, ids, n = encode(v, text, False)
        print(os.path.basename(path), sha(plain), sha(decode(v, ids, n, len(text))), sha(encode(v, text, True)[0]), flush=True)
        lc.llama_model_free(model)
