"""Writes the golden vectors of the types of bitsandbytes, and files of its own.

    python make_bnb.py

    NAME.dec  blocks with random nibbles or bytes, and what bitsandbytes' CPU
              version dequantises them to, float32
    NAME.enc  x.f32 (make_golden.py) quantised by it, each 64 numbers a block
    ../bnb/testdata/weights.safetensors  numbers of all kinds, x.*; what it makes
              of them (quantize_4bit, int8_vectorwise_quant), as Linear4bit and
              Linear8bitLt store it; and that dequantised. statistics.* are the
              nested ones of numbers given

Needs bitsandbytes 0.50.2, torch 2.15, safetensors and numpy; no card.
"""
from pathlib import Path

import bitsandbytes.functional as bnb
import numpy as np
import torch
from safetensors.torch import save_file

here = Path(__file__).parent
rng = np.random.default_rng(20261128)
torch.manual_seed(20261128)
torch.set_num_threads(1)


def quantise4(x, name, block=64, nested=False):
    return bnb.quantize_4bit(x, blocksize=block, quant_type=name, compress_statistics=nested)


def blocks(absmax, q):
    """Blocks of 64: the absmax and the bytes of each."""
    a, q = absmax.float().numpy().reshape(-1, 1), q.numpy().reshape(len(absmax), -1)
    return np.hstack([a.view(np.uint8), q.view(np.uint8)]).tobytes()


def scales(n):
    """Floats of all sizes, two of them subnormal, one 0."""
    s = np.exp(rng.uniform(-30, 30, n)).astype(np.float32)
    s[:3] = [0, 1e-40, 3e-45]
    return torch.from_numpy(s)


def golden():
    x = torch.from_numpy(np.fromfile(here / "x.f32", np.float32))
    for name in ["nf4", "fp4"]:
        q, a = torch.from_numpy(rng.integers(0, 256, 16 * 32, dtype=np.uint8)), scales(16)
        state = bnb.QuantState(a, torch.Size([1024]), bnb.get_4bit_type(name, "cpu"), 64, name, torch.float32)
        y = bnb.dequantize_4bit(q.reshape(-1, 1), state)
        (here / f"{name}.dec").write_bytes(blocks(a, q) + y.numpy().tobytes())
        q, state = quantise4(x, name)
        (here / f"{name}.enc").write_bytes(blocks(state.absmax, q))
    q, a = torch.from_numpy(rng.integers(-127, 128, (16, 64), dtype=np.int8)), scales(16)
    (here / "llm_int8.dec").write_bytes(blocks(a, q) + bnb.int8_vectorwise_dequant(q, a).numpy().tobytes())
    q, a, _ = bnb.int8_vectorwise_quant(x.reshape(-1, 64))
    (here / "llm_int8.enc").write_bytes(blocks(a, q))


def numbers():
    """Rows of 128 numbers of every kind."""
    x = torch.randn(20, 128)
    x[1] *= 1e-4
    x[2, ::37] *= 50
    x[3] = 0
    x[4, 64:] = 0
    x[5] *= 1e-39
    x[6] *= 1e-44
    x[7] *= 1e-37
    x[8] *= 3e38 / x[8].abs().max()
    x[9] = torch.linspace(-1, 1, 128)
    x[10] = x[10].sign() * 0.02
    for row, name in [(11, "nf4"), (12, "fp4")]:  # between two levels, and just beside
        code = bnb.get_4bit_type(name, "cpu").sort().values
        mid = (code[1:] + code[:-1]) / 2
        x[row] = torch.cat([mid, torch.nextafter(mid, torch.tensor(9.0)), torch.nextafter(mid, torch.tensor(-9.0)), code]).repeat(4)[:128]
        x[row, 0] = x[row, 64] = 1
    x[13] = (torch.arange(128) - 64) / 2  # halves for int8 with absmax 127/2 and others
    x[13, 7] = 63.5
    x[14] = -x[13]
    x[15, 5] = 1000
    return x


def packed(prefix, q, state):
    return {prefix: q, **{f"{prefix}.{k}": v for k, v in state.as_dict(packed=True).items()}}


def storage():
    x, all = numbers(), {}
    for name, t in [("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16)]:
        all[f"x.{name}"] = x.to(t) if name != "f16" else x.clamp(-60000, 60000).to(t)
    for form in ["nf4", "fp4"]:
        for t in ["f32", "f16", "bf16"]:
            q, state = quantise4(all[f"x.{t}"], form)
            all |= packed(f"{form}.{t}", q, state)
            all[f"{form}.{t}.dequantised"] = bnb.dequantize_4bit(q, state)
        for block in [32, 128, 512, 4096] if form == "nf4" else []:
            q, state = quantise4(x[4:12], form, block)
            all |= packed(f"{form}.{block}", q, state)
            all[f"{form}.{block}.dequantised"] = bnb.dequantize_4bit(q, state)
        q, state = quantise4(x[:3, :100].contiguous(), form)  # blocks run on over rows
        all |= packed(f"{form}.odd", q, state)
        all[f"{form}.odd.dequantised"] = bnb.dequantize_4bit(q, state)
        q, state = quantise4(torch.cat([x[:5], x[9:13], x[16:]]) * 0.02, form, nested=True)
        all |= packed(f"{form}.nested", q, state)
        all[f"{form}.nested.dequantised"] = bnb.dequantize_4bit(q, state)
    for t in ["f32", "f16", "bf16"]:
        q, a, _ = bnb.int8_vectorwise_quant(all[f"x.{t}"])
        all |= {f"int8.{t}": q, f"int8.{t}.SCB": a}
    all["int8.bf16.dequantised"] = bnb.int8_vectorwise_dequant(q, a)

    absmax = torch.randn(600).abs() * 0.05 + 0.1
    absmax[256:512] = 0.25  # a block of equals
    offset = absmax.mean()
    q, state = bnb.quantize_blockwise(absmax - offset, blocksize=256)
    again = bnb.dequantize_blockwise(q, state)
    again += offset
    all |= {"statistics.absmax": absmax, "statistics.offset": offset, "statistics.codes": q, "statistics.nested_absmax": state.absmax,
            "statistics.quant_map": state.code, "statistics.dequantised": again}

    a = torch.randn(5, 192)
    for form in ["nf4", "fp4"]:
        w = torch.randn(40, 192) * 0.05
        q, state = quantise4(w, form)
        all |= packed(f"{form}.product", q, state)
        for t in [torch.float32, torch.float16, torch.bfloat16]:
            y = bnb_matmul(a.to(t), q, state)
            all[f"{form}.product.{str(t)[6:]}"] = y
    all["product.a"] = a
    file = here.parent / "bnb/testdata/weights.safetensors"
    file.parent.mkdir(exist_ok=True)
    save_file({k: v.contiguous().clone() for k, v in all.items()}, file)
    file.chmod(0o644)


def bnb_matmul(a, q, state):
    import bitsandbytes
    state.dtype = a.dtype
    return bitsandbytes.matmul_4bit(a, q.t(), state)


golden()
storage()
