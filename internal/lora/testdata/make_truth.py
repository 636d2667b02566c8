#!/usr/bin/env python3
"""Makes the tiny models and adapters of this folder, with the logits that transformers and PEFT compute for them.

For each model it writes
  MODEL.gguf              random weights, under the names that gguf-py has for them, as llama.cpp's converter lays them
  MODEL/CASE/             an adapter as PEFT saves it
  MODEL/truth.safetensors ids (n), and for each case the logits (n, vocab) in float32
  MODEL/CASE.gguf         of some cases, the adapter in llama.cpp's form, as its convert_lora_to_gguf.py lays it

    pip install torch transformers peft gguf==0.19.0 safetensors
    python make_truth.py
    python make_truth.py check    # with llama-cpp-python: what it computes with those adapters
"""
import json
import math
import os
import shutil
import sys

import torch
from gguf import GGUFWriter, MODEL_ARCH, get_tensor_name_map
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM,
                          Qwen2Config, Qwen2ForCausalLM)

VOCAB, LENGTH, DIM, FFN, LAYERS, CONTEXT = 64, 12, 32, 48, 2, 64
COMMON = dict(vocab_size=VOCAB, hidden_size=DIM, intermediate_size=FFN, num_hidden_layers=LAYERS, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=CONTEXT, bos_token_id=1, eos_token_id=2, pad_token_id=0,
              attn_implementation="eager", attention_dropout=0.0)
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig, dict(COMMON, tie_word_embeddings=False)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(COMMON, tie_word_embeddings=True)),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, dict(COMMON, head_dim=8, query_pre_attn_scalar=8, sliding_window=8,
                                                         layer_types=["sliding_attention", "full_attention"])),
    "phi3": (Phi3ForCausalLM, Phi3Config, dict(COMMON, tie_word_embeddings=False)),
}

# What is not said is r=4, lora_alpha=8. Extra keys: dtype of the saved adapter.
CASES = {
    "llama": {
        "plain": dict(target_modules=LINEAR),
        "rslora": dict(target_modules=["q_proj", "k_proj", "down_proj"], r=8, lora_alpha=6, use_rslora=True),
        "dora": dict(target_modules=LINEAR, use_dora=True),
        "patterns": dict(target_modules=["q_proj", "v_proj", "up_proj"], rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.up_proj": 3},
                         alpha_pattern={"model.layers.0.self_attn.v_proj": 3, "^model.layers.1.*q_proj": 5}),
        "saved": dict(target_modules=["v_proj"], modules_to_save=["embed_tokens", "lm_head", "q_proj", "input_layernorm"]),
        "embedding": dict(target_modules=["embed_tokens", "lm_head", "o_proj"]),
        "bias": dict(target_modules=["k_proj", "down_proj"], lora_bias=True),
        "half": dict(target_modules=["q_proj", "gate_proj"], dtype=torch.bfloat16),
    },
    "qwen2": {
        "plain": dict(target_modules=LINEAR, lora_alpha=4),
        "bias": dict(target_modules=["q_proj"], bias="all"),
        "tied": dict(target_modules=["k_proj"], modules_to_save=["embed_tokens"]),
        "dora": dict(target_modules=["embed_tokens", "q_proj"], use_dora=True),
        "half": dict(target_modules=["q_proj", "gate_proj"], dtype=torch.float16),
    },
    "gemma3": {
        "plain": dict(target_modules=LINEAR),
        "dora": dict(target_modules=["q_proj", "down_proj"], use_dora=True, use_rslora=True),
        "saved": dict(target_modules=["embed_tokens", "up_proj"], modules_to_save=["post_attention_layernorm"]),
    },
    "phi3": {
        "plain": dict(target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]),
        "dora": dict(target_modules=["qkv_proj", "gate_up_proj"], use_dora=True),
    },
}

# Several at once, with their scales.
MIXES = {"llama": {"plain*0.5+rslora*1.5": [("plain", 0.5), ("rslora", 1.5)], "dora*0.5": [("dora", 0.5)],
                   "dora+plain": [("dora", 1.0), ("plain", 1.0)]},
         "qwen2": {"plain-half": [("plain", 1.0), ("half", -1.0)]}}


def randomise(parameters):
    for name, p in parameters:
        if "norm" in name:
            p.data.normal_(0, 0.2).add_(0.0 if GEMMA else 1.0)
        elif p.ndim == 1:
            p.data.normal_(0, 0.3)
        else:
            p.data.normal_(0, 1 / math.sqrt(p.shape[-1]))
            if "embed" in name and not GEMMA:
                p.data.mul_(math.sqrt(DIM))


def permute(w, heads):  # LlamaModel.permute of convert_hf_to_gguf.py
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def write_gguf(path, arch, model):
    c = model.config
    head = getattr(c, "head_dim", None) or DIM // c.num_attention_heads
    names = get_tensor_name_map({"llama": MODEL_ARCH.LLAMA, "qwen2": MODEL_ARCH.QWEN2, "gemma3": MODEL_ARCH.GEMMA3,
                                 "phi3": MODEL_ARCH.PHI3}[arch], LAYERS)
    g = GGUFWriter(path, arch)
    g.add_name(f"tiny {arch}")
    g.add_block_count(LAYERS)
    g.add_context_length(CONTEXT)
    g.add_embedding_length(DIM)
    g.add_feed_forward_length(FFN)
    g.add_head_count(c.num_attention_heads)
    g.add_head_count_kv(c.num_key_value_heads)
    g.add_key_length(head)
    g.add_value_length(head)
    g.add_layer_norm_rms_eps(c.rms_norm_eps)
    g.add_vocab_size(VOCAB)
    rope = c.rope_parameters
    if arch == "gemma3":
        g.add_sliding_window(c.sliding_window)
        g.add_array(f"{arch}.attention.sliding_window_pattern", [t == "sliding_attention" for t in c.layer_types])
        g.add_rope_freq_base(rope["full_attention"]["rope_theta"])
        assert rope["sliding_attention"]["rope_theta"] == 10000
    else:
        g.add_rope_freq_base(rope["rope_theta"])
        g.add_rope_dimension_count(head)
    pieces = ["<unk>", "<s>", "</s>", "\u2581"] + [chr(ord("a") + i % 26) * (1 + i // 26) for i in range(VOCAB - 4)]
    g.add_tokenizer_model("llama")
    g.add_token_list(pieces)
    g.add_token_scores([-float(i) for i in range(VOCAB)])
    g.add_token_types([2, 3, 3] + [1] * (VOCAB - 3))
    g.add_bos_token_id(1)
    g.add_eos_token_id(2)
    g.add_unk_token_id(0)
    for name, w in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        w = w.detach().clone()
        if arch == "llama" and ("q_proj" in name or "k_proj" in name):
            w = permute(w, c.num_attention_heads if "q_proj" in name else c.num_key_value_heads)
        if arch == "gemma3" and "norm" in name:
            w = w + 1
        g.add_tensor(names.get_name(name, (".weight", ".bias")), w.contiguous().numpy())
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


IN_GGUF = [("llama", "plain"), ("llama", "embedding"), ("qwen2", "plain"), ("gemma3", "plain")]


def write_adapter(arch, case, config):
    """Names from gguf-py; llama's lora_B of q and k permuted; an embedding's lora_A transposed, copies of base weights left out."""
    names = get_tensor_name_map({"llama": MODEL_ARCH.LLAMA, "qwen2": MODEL_ARCH.QWEN2, "gemma3": MODEL_ARCH.GEMMA3}[arch], LAYERS)
    g = GGUFWriter(f"{arch}/{case}.gguf", arch)
    g.add_type("adapter")
    g.add_string("adapter.type", "lora")
    g.add_float32("adapter.lora.alpha", float(json.load(open(f"{arch}/{case}/adapter_config.json"))["lora_alpha"]))
    for name, w in load_file(f"{arch}/{case}/adapter_model.safetensors").items():
        name = name.removeprefix("base_model.model.")
        if "base_layer" in name:
            continue
        module, part = name.split(".lora_")
        if part == "embedding_A":
            w = w.T
        if arch == "llama" and part.startswith("B") and ("q_proj" in module or "k_proj" in module):
            w = permute(w, config.num_attention_heads if "q_proj" in module else config.num_key_value_heads)
        end = "a" if part in ("A.weight", "embedding_A") else "b"
        g.add_tensor(names.get_name(module) + f".weight.lora_{end}", w.contiguous().numpy())
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


def check():
    """What llama.cpp computes."""
    import llama_cpp
    import numpy as np
    from safetensors.numpy import load_file as load_numpy

    for arch, case in IN_GGUF:
        truth = load_numpy(f"{arch}/truth.safetensors")
        m = llama_cpp.Llama(f"{arch}.gguf", n_ctx=CONTEXT, n_batch=CONTEXT, logits_all=True, type_k=0, type_v=0, flash_attn=False,
                            verbose=False, n_threads=1, lora_path=f"{arch}/{case}.gguf")
        m.eval([int(i) for i in truth["ids"]])
        got = np.array(m.scores[: len(truth["ids"])])
        off = np.linalg.norm(got - truth[case]) / np.linalg.norm(truth[case])
        print(f"{arch}/{case}: llama.cpp is {off:.1e} off", flush=True)
        assert off < 2e-3


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits[0].float().contiguous()


def fresh(arch, state):
    cls, config, args = MODELS[arch]
    model = cls(config(**args)).float().eval()
    model.load_state_dict(state)
    return model


def main():
    global GEMMA
    for number, arch in enumerate(MODELS):
        if len(sys.argv) > 1 and arch not in sys.argv[1:]:
            continue
        GEMMA = arch.startswith("gemma")
        torch.manual_seed(number + 1)
        shutil.rmtree(arch, ignore_errors=True)
        os.makedirs(arch)
        cls, config, args = MODELS[arch]
        model = cls(config(**args)).float().eval()
        randomise(model.named_parameters())
        state = {k: v.clone() for k, v in model.state_dict().items()}
        write_gguf(arch + ".gguf", arch, model)
        ids = torch.randint(3, VOCAB, (1, LENGTH))
        truth = {"ids": ids[0].to(torch.int32), "base": logits(model, ids)}
        for case, args in CASES[arch].items():
            args = dict(dict(r=4, lora_alpha=8, task_type="CAUSAL_LM"), **args)
            dtype = args.pop("dtype", torch.float32)
            m = get_peft_model(fresh(arch, state), LoraConfig(**args)).eval()
            m.peft_config["default"].base_model_name_or_path = f"tiny/{arch}"
            for name, p in m.named_parameters():
                if "lora_magnitude" in name:
                    p.data.mul_(1 + 0.3 * torch.randn_like(p))
                elif "lora_B.default.bias" in name:
                    p.data.normal_(0, 0.3)
                elif "lora_" in name:
                    p.data.normal_(0, 0.25 if "_A" in name else 0.15)
                elif "modules_to_save" in name or args.get("bias") == "all" and name.endswith("bias"):
                    p.data.add_(0.2 * p.data.std() * torch.randn_like(p))
            if dtype != torch.float32:  # what is saved is what is computed with
                for name, p in m.named_parameters():
                    if "lora_" in name:
                        p.data = p.data.to(dtype).float()
            truth[case] = logits(m, ids)
            m.save_pretrained(f"{arch}/{case}")
            os.remove(f"{arch}/{case}/README.md")
            if (arch, case) in IN_GGUF:
                write_adapter(arch, case, model.config)
            if dtype != torch.float32:
                path = f"{arch}/{case}/adapter_model.safetensors"
                save_file({k: v.to(dtype) for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
            again = logits(PeftModel.from_pretrained(fresh(arch, state), f"{arch}/{case}").eval(), ids)
            assert (again - truth[case]).abs().max() < 1e-4, f"{arch}/{case}: read again it is {(again - truth[case]).abs().max()} off"
        for mix, parts in MIXES.get(arch, {}).items():
            m = None
            for name, _ in parts:
                path = f"{arch}/{name}"
                if m is None:
                    m = PeftModel.from_pretrained(fresh(arch, state), path, adapter_name="a_" + name)
                else:
                    m.load_adapter(path, adapter_name="a_" + name)
            m.base_model.set_adapter(["a_" + name for name, _ in parts])
            for module in m.modules():
                for name, scale in parts:
                    if hasattr(module, "set_scale"):
                        module.set_scale("a_" + name, scale)
            truth[mix] = logits(m.eval(), ids)
        save_file(truth, f"{arch}/truth.safetensors")
        off = lambda t: float((t - truth["base"]).norm() / truth["base"].norm())
        print(arch, f"logits ±{truth['base'].std():.2f};", ", ".join(f"{k} {off(t):.2f}" for k, t in truth.items() if k not in ("ids", "base")), flush=True)


check() if sys.argv[1:] == ["check"] else main()
