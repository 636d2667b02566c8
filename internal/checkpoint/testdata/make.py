#!/usr/bin/env python3
"""Makes the checkpoints of this folder, with what transformers makes of them.

Each is a tiny random model in a folder as save_pretrained writes it. Beside the
folder NAME lie NAME.json (token ids of TEXT, a rendered conversation) and
NAME.safetensors (logits in float32 after each token of a text). Nothing of it
comes from llcuda.

    pip install torch transformers==5.24.0 tokenizers sentencepiece safetensors accelerate bitsandbytes==0.50.2
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


def pieces(users=()):
    """A model of SentencePiece, as of Llama 2, Gemma and Phi 3."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=out, model_type="bpe", vocab_size=420, byte_fallback=True, character_coverage=0.98,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True,
        hard_vocab_limit=False, user_defined_symbols=list(users), minloglevel=2)
    return out.getvalue()


def from_pieces(cls, name, model, **kw):
    """What transformers makes of it."""
    kw = {"add_bos_token": True, **kw}
    d = f"/tmp/make-{name}"
    shutil.rmtree(d, ignore_errors=True)
    os.makedirs(d)
    with open(d + "/tokenizer.model", "wb") as f:
        f.write(model)
    with open(d + "/tokenizer_config.json", "w") as f:
        json.dump({"tokenizer_class": cls.__name__, **kw}, f)
    return cls.from_pretrained(d, **kw)


def rewritten(tok, change):
    """The tokenizer with another tokenizer.json."""
    data = json.loads(tok.backend_tokenizer.to_str())
    change(data)
    return tf.PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(data)), bos_token=tok.bos_token, eos_token=tok.eos_token,
                                      pad_token=tok.pad_token, unk_token=tok.unk_token, chat_template=tok.chat_template, clean_up_tokenization_spaces=False)


def llama2(data):
    """The normaliser of Llama 2, and merges in the old form."""
    data["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                              {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
    data["pre_tokenizer"] = None


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
    if kw.get("head_dim", 8) is None:
        return cls(**{k: v for k, v in config(dict, tok, **{**kw, "head_dim": 8}).items() if k != "head_dim"})
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
    ids = torch.tensor([ids[:20]])
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


@case
def llama_rope(name):
    """Llama 3.1's frequencies, in shards."""
    tok = llama3()
    cfg = config(tf.LlamaConfig, tok, rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                           original_max_position_embeddings=16), tie_word_embeddings=True)
    truth(name, tok, save(name, tok, tf.LlamaForCausalLM, cfg, max_shard_size="30KB"))


def old(name, rope):
    """config.json as transformers 4 wrote it."""
    with open(name + "/config.json") as f:
        c = json.load(f)
    r = c.pop("rope_parameters")
    c["rope_theta"], c["torch_dtype"], c["rope_scaling"] = r["rope_theta"], c.pop("dtype"), rope
    with open(name + "/config.json", "w") as f:
        json.dump(c, f, indent=1)


@case
def llama_yarn(name):
    tok = smollm()
    r = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32, beta_fast=16.0)
    model = save(name, tok, tf.LlamaForCausalLM, config(tf.LlamaConfig, tok, rope_parameters=r), dtype=torch.float16)
    old(name, {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 16.0})
    truth(name, tok, model)


@case
def llama_dynamic(name):
    """Llama 2's tokenizer, and a base that grows with texts longer than the context."""
    tok = from_pieces(tf.LlamaTokenizer, name, pieces())
    tok = rewritten(tok, llama2)
    model = save(name, tok, tf.LlamaForCausalLM, config(tf.LlamaConfig, tok, rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0)))
    truth(name, tok, model)


@case
def llama_linear(name):
    """A folder with nothing but tokenizer.model."""
    model = pieces()
    tok = rewritten(from_pieces(tf.LlamaTokenizer, name, model), llama2)
    m = save(name, tok, tf.LlamaForCausalLM, config(tf.LlamaConfig, tok, rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)))
    truth(name, tok, m)
    os.remove(name + "/tokenizer.json")
    with open(name + "/tokenizer.model", "wb") as f:
        f.write(model)
    with open(name + "/tokenizer_config.json", "w") as f:
        json.dump({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}, f)


@case
def mistral(name):
    tok = from_pieces(tf.LlamaTokenizer, name, pieces(), chat_template=INST)
    tok.add_tokens([AddedToken("[INST]", special=True, normalized=False), AddedToken("[/INST]", special=True, normalized=False)])
    truth(name, tok, save(name, tok, tf.MistralForCausalLM, config(tf.MistralConfig, tok, sliding_window=7)), MESSAGES[1:])


@case
def mistral_tekken(name):
    tok = byte_level(TEKKEN, ignore_merges=True, bos="<s>", eos="</s>", template=INST, specials=["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    truth(name, tok, save(name, tok, tf.MistralForCausalLM, config(tf.MistralConfig, tok, sliding_window=None, head_dim=16)), MESSAGES[1:])


@case
def qwen2(name):
    tok = qwen()
    model = save(name, tok, tf.Qwen2ForCausalLM, config(tf.Qwen2Config, tok), generation={"eos_token_id": [tok.eos_token_id, tok.pad_token_id]})
    truth(name, tok, model, text=TEXT + DECOMPOSED)


@case
def qwen2_window(name):
    tok = qwen()
    truth(name, tok, save(name, tok, tf.Qwen2ForCausalLM, config(tf.Qwen2Config, tok, use_sliding_window=True, sliding_window=7, max_window_layers=1,
                                                                 tie_word_embeddings=True)))


@case
def qwen3(name):
    tok = qwen()
    truth(name, tok, save(name, tok, tf.Qwen3ForCausalLM, config(tf.Qwen3Config, tok, head_dim=12, tie_word_embeddings=True)))


def gemma(name):
    t = from_pieces(tf.GemmaTokenizer, name, pieces(), bos_token="<s>", eos_token="</s>", chat_template=TURNS)
    t.add_tokens([AddedToken("<start_of_turn>", special=True, normalized=False), AddedToken("<end_of_turn>", special=True, normalized=False)])
    return t


@case
def gemma2(name):
    tok = gemma(name)
    cfg = config(tf.Gemma2Config, tok, query_pre_attn_scalar=24, sliding_window=7, attn_logit_softcapping=2.0, final_logit_softcapping=3.0)
    truth(name, tok, save(name, tok, tf.Gemma2ForCausalLM, cfg, generation={"eos_token_id": [tok.eos_token_id, tok.convert_tokens_to_ids("<end_of_turn>")]}))


GEMMA3_ROPE = {"full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1e6), "sliding_attention": dict(rope_type="default", rope_theta=5000.0)}


@case
def gemma3(name):
    tok = gemma(name)
    cfg = config(tf.Gemma3TextConfig, tok, num_hidden_layers=3, sliding_window_pattern=2, sliding_window=7, query_pre_attn_scalar=8, rope_parameters=GEMMA3_ROPE)
    truth(name, tok, save(name, tok, tf.Gemma3ForCausalLM, cfg))


@case
def gemma3_vision(name):
    tok = gemma(name)
    text = config(tf.Gemma3TextConfig, tok, num_hidden_layers=6, intermediate_size=32, sliding_window=7, query_pre_attn_scalar=8)
    cfg = tf.Gemma3Config(text_config=text.to_dict(), image_token_index=3, boi_token_index=4, eoi_token_index=5, mm_tokens_per_image=4, eos_token_id=tok.eos_token_id,
                          vision_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14))
    truth(name, tok, save(name, tok, tf.Gemma3ForConditionalGeneration, cfg))


def phi(name):
    t = from_pieces(tf.LlamaTokenizer, name, pieces(), chat_template=PHI)
    t.add_tokens([AddedToken(s, special=True, normalized=False, rstrip=True) for s in ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]])
    t.eos_token = "<|endoftext|>"
    return rewritten(t, llama2)


@case
def phi3(name):
    """The text is longer than the original context: long factors."""
    tok = phi(name)
    r = dict(rope_type="longrope", rope_theta=10000.0, long_factor=[1.5, 3.0, 5.0, 9.0], short_factor=[1.1, 1.3, 1.2, 1.7], partial_rotary_factor=1.0)
    cfg = config(tf.Phi3Config, tok, head_dim=None, rope_parameters=r, original_max_position_embeddings=16, sliding_window=None)
    truth(name, tok, save(name, tok, tf.Phi3ForCausalLM, cfg))


@case
def phi3_partial(name):
    """Phi-4 mini: some numbers of each head are rotated, embeddings are tied; and the window of Phi-3 mini."""
    tok = phi(name)
    r = dict(rope_type="longrope", rope_theta=10000.0, long_factor=[1.5, 3.0, 5.0], short_factor=[1.1, 1.3, 1.2], partial_rotary_factor=0.75)
    cfg = config(tf.Phi3Config, tok, head_dim=None, rope_parameters=r, original_max_position_embeddings=32, max_position_embeddings=32, sliding_window=7,
                 tie_word_embeddings=True, partial_rotary_factor=0.75)
    truth(name, tok, save(name, tok, tf.Phi3ForCausalLM, cfg))


def eight_bits(name, model, scales):
    """Puts 8-bit weights in the place of the linear ones; scales(w) gives their name, and what divides w."""
    path = name + "/model.safetensors"
    tensors, back = load_file(path), {}
    for key in list(tensors):
        if "_proj.weight" in key:
            w = tensors[key].float()
            suffix, scale, full = scales(w)
            dtype = torch.float8_e5m2 if "v_proj" in key else torch.float8_e4m3fn
            tensors[key] = (w / full).to(dtype)
            tensors[key + suffix] = scale
            back[key] = tensors[key].float() * full
    tensors["model.layers.0.mlp.up_proj.input_scale"] = torch.tensor(1.0)
    save_file(tensors, path, {"format": "pt"})
    model.load_state_dict(back, strict=False)


def quantised(name, q):
    with open(name + "/config.json") as f:
        c = json.load(f)
    with open(name + "/config.json", "w") as f:
        json.dump({**c, "quantization_config": q}, f, indent=1)


@case
def llama_fp8(name):
    """8-bit weights with scales of blocks, as DeepSeek's and Qwen's."""
    tok = llama3()
    model = save(name, tok, tf.LlamaForCausalLM, config(tf.LlamaConfig, tok))

    def blocks(w):
        full = torch.zeros_like(w)
        scale = torch.zeros((w.shape[0] + 23) // 24, (w.shape[1] + 15) // 16)
        for i in range(scale.shape[0]):
            for j in range(scale.shape[1]):
                part = w[24 * i:24 * i + 24, 16 * j:16 * j + 16]
                scale[i, j] = part.abs().max() / 448
                full[24 * i:24 * i + 24, 16 * j:16 * j + 16] = scale[i, j]
        return "_scale_inv", scale, full

    eight_bits(name, model, blocks)
    quantised(name, {"quant_method": "fp8", "weight_block_size": [24, 16], "activation_scheme": "dynamic"})
    truth(name, tok, model)


@case
def qwen3_fp8(name):
    """8-bit weights with scales of rows, as compressed-tensors writes them."""
    tok = qwen()
    model = save(name, tok, tf.Qwen3ForCausalLM, config(tf.Qwen3Config, tok, tie_word_embeddings=True))

    def rows(w):
        scale = (w.abs().amax(1, keepdim=True) / 448).bfloat16()
        return "_scale", scale, scale.float()

    eight_bits(name, model, rows)
    quantised(name, {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {
        "group_0": {"weights": {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True}}}})
    truth(name, tok, model)


def bitsandbytes(name, tok, cls, cfg, **kw):
    d = f"/tmp/make-{name}"
    save(d, tok, cls, cfg, dtype=torch.float32)
    model = cls.from_pretrained(d, dtype=torch.float32, attn_implementation="eager", device_map="cpu", quantization_config=tf.BitsAndBytesConfig(**kw))
    shutil.rmtree(name, ignore_errors=True)
    model.save_pretrained(name)
    tok.save_pretrained(name)
    if kw.get("load_in_8bit"):
        # LLM.int8() rounds activations, too: the truth is that of the weights.
        stored = load_file(name + "/model.safetensors")
        weights = {k[:-3] + "weight": stored[k[:-3] + "weight"].float() * v[:, None] / 127 for k, v in stored.items() if k.endswith("SCB")}
        model = cls.from_pretrained(d, dtype=torch.float32, attn_implementation="eager")
        model.load_state_dict(weights, strict=False)
    truth(name, tok, model)


@case
def llama_nf4(name):
    tok = llama3()
    bitsandbytes(name, tok, tf.LlamaForCausalLM, config(tf.LlamaConfig, tok, hidden_size=64, head_dim=16, tie_word_embeddings=True), load_in_4bit=True, bnb_4bit_quant_type="nf4",
                 bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32)


@case
def qwen3_fp4(name):
    """Rows of 32 numbers: half a block."""
    tok = qwen()
    bitsandbytes(name, tok, tf.Qwen3ForCausalLM, config(tf.Qwen3Config, tok, tie_word_embeddings=True), load_in_4bit=True, bnb_4bit_quant_type="fp4",
                 bnb_4bit_compute_dtype=torch.float32)


@case
def llama_int8(name):
    tok = smollm()
    bitsandbytes(name, tok, tf.LlamaForCausalLM, config(tf.LlamaConfig, tok, hidden_size=64, head_dim=16, tie_word_embeddings=True), load_in_8bit=True)


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    for name, f in CASES.items():
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            f(name)


main()
