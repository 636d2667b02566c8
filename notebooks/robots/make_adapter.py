#!/usr/bin/env python3
"""Trains the adapter of this folder: a LoRA that makes the stories of llcuda's
demo model be about robots.

    pip install torch transformers peft gguf==0.19.0
    python make_adapter.py LLCUDA       # the binary: it writes the stories and tokenizes them

The base is the demo model, laid out as transformers has it (its query and key
heads turned back from GGUF's order). It tells 320 stories; in these, children
become robots, and a LoRA of rank 8 on the attention learns to tell them so. Three
minutes on two cores.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

import gguf
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

here = os.path.dirname(os.path.abspath(__file__))
binary = sys.argv[1]
torch.manual_seed(20261128)

WORDS = {"girl": "robot", "boy": "robot", "she": "it", "he": "it", "her": "its", "his": "its", "him": "it", "children": "robots", "child": "robot",
         "herself": "itself", "himself": "itself"}


def robots(text):
    for a, b in WORDS.items():
        text = re.sub(rf"\b{a}\b", b, text)
        text = re.sub(rf"\b{a.capitalize()}\b", b.capitalize(), text)
    return text


def stories(tmp, count):
    with open(os.path.join(here, "../../engine/demo/train/questions.txt")) as f:
        questions = [line.split("|")[0] for line in f if not line.startswith("#")]
    ask, told = os.path.join(tmp, "ask.jsonl"), os.path.join(tmp, "told.jsonl")
    with open(ask, "w") as f:
        for i in range(count):
            prompt = "Once upon a time" if i % 4 == 0 else questions[i % len(questions)]
            f.write(json.dumps({"prompt": prompt, "seed": i, "temperature": 1, "max_tokens": 300}) + "\n")
    subprocess.run([binary, "infer", "demo", "--batch", ask, "--output", told], check=True)
    with open(told) as f:
        answers = [json.loads(line) for line in f]
    with open(ask) as f:
        prompts = [json.loads(line)["prompt"] for line in f]
    texts = os.path.join(tmp, "texts.jsonl")
    with open(texts, "w") as f:
        for p, a in zip(prompts, answers):
            f.write(json.dumps(p + robots(a["text"])) + "\n")
    out = subprocess.run([binary, "tokenize", "demo", "--jsonl", texts], check=True, capture_output=True, text=True).stdout
    return [json.loads(line)[:256] + [0] for line in out.splitlines()]


def base(tmp):
    """The demo model as transformers has it."""
    path = os.path.join(tmp, "demo.gguf")
    subprocess.run([binary, "export", "demo", path, "--type", "f32"], check=True)
    r = gguf.GGUFReader(path)
    value = lambda key: r.fields["llama." + key].contents()
    heads, kv = value("attention.head_count"), value("attention.head_count_kv")
    config = LlamaConfig(vocab_size=value("vocab_size"), hidden_size=value("embedding_length"), intermediate_size=value("feed_forward_length"),
                         num_hidden_layers=value("block_count"), num_attention_heads=heads, num_key_value_heads=kv,
                         max_position_embeddings=value("context_length"), rms_norm_eps=value("attention.layer_norm_rms_epsilon"),
                         rope_theta=value("rope.freq_base"), bos_token_id=0, eos_token_id=0, tie_word_embeddings=True)
    model = LlamaForCausalLM(config)
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {}
    for t in r.tensors:
        parts = t.name.split(".")
        w = torch.tensor(t.data.copy())
        if parts[0] == "blk":
            n = heads if parts[2] == "attn_q" else kv if parts[2] == "attn_k" else 0
            if n:
                w = w.reshape(n, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
            state[f"model.layers.{parts[1]}.{names[parts[2]]}.weight"] = w
        else:
            state[names[parts[0]] + ".weight"] = w
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(m == "lm_head.weight" for m in missing), (missing, unexpected)
    model.tie_weights()
    return model


def loss_of(model, batch):
    width = max(map(len, batch))
    ids = torch.tensor([b + [0] * (width - len(b)) for b in batch])
    labels = torch.tensor([b + [-100] * (width - len(b)) for b in batch])
    return model(input_ids=ids, attention_mask=(labels >= 0).long(), labels=labels).loss


with tempfile.TemporaryDirectory() as tmp:
    texts = stories(tmp, 320)
    model = base(tmp)
    with torch.no_grad():
        print("loss of the base", float(loss_of(model, texts[:16])))
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=4e-3, weight_decay=0)
    steps = 3 * (len(texts) - 16) // 16
    for step in range(steps):
        for g in optimizer.param_groups:
            g["lr"] = 4e-3 * min(1, (step + 1) / 5) * (1 - step / steps)
        pick = torch.randint(16, len(texts), (16,)).tolist()
        loss = loss_of(model, [texts[i] for i in pick])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 9:
            print(step + 1, "of", steps, float(loss), flush=True)
    with torch.no_grad():
        print("loss", float(loss_of(model, texts[:16])))
    model.peft_config["default"].base_model_name_or_path = "llcuda/demo"
    for p in model.parameters():
        p.data = p.data.half() if p.requires_grad else p.data
    model.save_pretrained(here)
readme = os.path.join(here, "README.md")
if os.path.exists(readme):
    os.remove(readme)  # PEFT's, with nothing in it
