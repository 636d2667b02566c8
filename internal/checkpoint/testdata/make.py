#!/usr/bin/env python3
"""Makes the checkpoints of this folder, with what transformers makes of them.

Each is a tiny random model in a folder as save_pretrained writes it. Beside the
folder NAME lie NAME.json (token ids of TEXT, a rendered conversation) and
NAME.safetensors (logits in float32 after each token of a text). Nothing of it
comes from llcuda.

    pip install torch transformers==5.24.0 tokenizers sentencepiece safetensors [bitsandbytes]
    python make.py [NAME...]
"""
import io
import json
import math
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import sentencepiece
import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = ("Hello, world! It's 2026, isn't it? We'll see: 12345 + 6789 = 19134.\n\n  if (x == 1) {\n\treturn \"na\u00efve caf\u00e9\";\n  }\r\n"
        "\u4f60\u597d\uff0c\u4e16\u754c\u3002 \u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0928\u092e\u0938\u094d\u0924\u0947 \u0645\u0631\u062d\u0628\u0627 \ud55c\uad6d\uc5b4 \U0001f642\U0001f468\u200d\U0001f469\u200d\U0001f467   end  ")
DECOMPOSED = " e\u0301 A\u030a \u1112\u1161\u11ab"  # normal form D: Qwen reads them as form C
CORPUS = [TEXT] * 3 + [
    "the quick brown fox jumps over the lazy dog and the other dogs of the house",
    "there is nothing that the weather in the north would not do to them then",
    "return the value of the variable if it is in the list, and 0 otherwise",
    "\u043f\u0440\u0438\u0432\u0435\u0442 \u043f\u0440\u0438\u0440\u043e\u0434\u0430 \u043f\u0440\u0438 \u0441\u0432\u0435\u0442\u0435", "\u4f60\u597d\u4f60\u597d\u4e16\u754c\u4e16\u754c",
] * 4
MESSAGES = [{"role": "system", "content": "You answer briefly."}, {"role": "user", "content": "What is AI?"},
            {"role": "assistant", "content": "A field."}, {"role": "user", "content": "Of what?\n"}]

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
U, L = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = rf"[^\r\n\p{{L}}\p{{N}}]?{U}*{L}+|[^\r\n\p{{L}}\p{{N}}]?{U}+{L}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

CHATML = ("{%- for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{%- endfor %}"
          "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}")
HEADERS = ("{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
           "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}")
INST = ("{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token }}"
        "{% else %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endif %}{% endfor %}")
TURNS = ("{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else 'user') + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}"
         "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}")
PHI = ("{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}{% endfor %}"
       "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}")


def byte_level(pattern=None, ignore_merges=False, digits=False, nfc=False, specials=(), bos=None, eos=None, pad=None, template=None, users=()):
    """A byte-level BPE, as of Llama 3, Qwen and SmolLM."""
    t = Tokenizer(models.BPE())
    parts = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if pattern:
        parts.append(pre_tokenizers.Split(Regex(pattern), "isolated"))
    parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None))
    t.pre_tokenizer = pre_tokenizers.Sequence(parts) if len(parts) > 1 else parts[0]
    t.decoder = decoders.ByteLevel()
    if nfc:
        t.normalizer = normalizers.NFC()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=340, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    if ignore_merges:
        data = json.loads(t.to_str())
        data["model"]["ignore_merges"] = True
        # A word that only ignore_merges can make.
        data["model"]["vocab"]["\u0120otherwise"] = len(data["model"]["vocab"])
        t = Tokenizer.from_str(json.dumps(data))
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    t.add_tokens([AddedToken(s, special=False, normalized=False) for s in users])
    if bos:
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, t.token_to_id(bos))])])
    return tf.PreTrainedTokenizerFast(tokenizer_object=t, bos_token=bos, eos_token=eos, pad_token=pad, chat_template=template,
                                      clean_up_tokenization_spaces=False)


def llama3():
    return byte_level(LLAMA3, ignore_merges=True, bos="<|begin_of_text|>", eos="<|eot_id|>", template=HEADERS, specials=[
        "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"])


def qwen():
    return byte_level(QWEN2, nfc=True, eos="<|im_end|>", pad="<|endoftext|>", template=CHATML,
                      specials=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], users=["<tool_call>", "</tool_call>", "<|fim_prefix|>"])


def smollm():
    return byte_level(digits=True, bos="<|im_start|>", eos="<|im_end|>", template=CHATML, specials=["<|endoftext|>", "<|im_start|>", "<|im_end|>"])


def weights(model, seed):
    """Random numbers that make every part of the model matter."""
    g = torch.Generator().manual_seed(seed)
    gemma = "gemma" in model.config.model_type
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=g)
            if p.ndim == 1:
                r = 0.2 * r if name.endswith("bias") or gemma else 1 + 0.2 * r
            elif "embed" in name:
                r = r if not gemma else r / math.sqrt(p.shape[1])
            else:
                r = r * (2 if "q_proj" in name or "k_proj" in name else 1) / math.sqrt(p.shape[1])
            p.copy_(r)
    model.tie_weights()


def config(cls, tok, **kw):
    return cls(**{**dict(vocab_size=len(tok), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         head_dim=8, max_position_embeddings=128, bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id), **kw})


def truth(name, tok, model, messages=MESSAGES, text=TEXT):
    ids = tok(TEXT)["input_ids"]
    out = {"text": text, "ids": tok(text)["input_ids"], "plain": tok(text, add_special_tokens=False)["input_ids"]}
    if tok.chat_template:
        out["messages"] = messages
        out["prompt"] = tok.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        out["prompt_ids"] = tok(out["prompt"], add_special_tokens=False)["input_ids"]
    with open(name + ".json", "w") as f:
        json.dump(out, f, indent=0)
    ids = torch.tensor([ids[:24]])
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0]
    save_file({"ids": ids[0], "logits": logits.float().contiguous()}, name + ".safetensors")
    print(f"{name:20} {len(out['ids'])} ids, logits \u00b1{logits.std():.2f}", flush=True)


CASES = {}


def case(f):
    CASES[f.__name__.replace("_", "-")] = f
    return f


def save(name, tok, cls, cfg, dtype=torch.bfloat16, generation=None, **kw):
    """Makes, saves and reads again; returns what was read, in float32."""
    shutil.rmtree(name, ignore_errors=True)
    torch.manual_seed(0)
    model = cls(cfg)
    weights(model, sum(map(ord, name)))
    for k, v in (generation or {}).items():
        setattr(model.generation_config, k, v)
    model.to(dtype).save_pretrained(name, **kw)
    tok.save_pretrained(name)
    return cls.from_pretrained(name, dtype=torch.float32, attn_implementation="eager")


@case
def llama(name):
    tok = llama3()
    cfg = config(tf.LlamaConfig, tok, vocab_size=len(tok) + 5)
    model = save(name, tok, tf.LlamaForCausalLM, cfg, generation={"eos_token_id": [tok.eos_token_id, tok.convert_tokens_to_ids("<|eom_id|>")]})
    truth(name, tok, model)


@case
def llama_f32(name):
    tok = smollm()
    truth(name, tok, save(name, tok, tf.LlamaForCausalLM, config(tf.LlamaConfig, tok, tie_word_embeddings=True, attention_bias=True), dtype=torch.float32))


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    for name, f in CASES.items():
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            f(name)


main()
