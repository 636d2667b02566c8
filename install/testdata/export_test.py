"""Tests of llcuda_export: with models that only say they are some, and, where
torch, transformers and PEFT are, with real ones, whose merge is the truth."""

import copy
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import llcuda_export

try:
    import peft
    import torch
    import transformers
    from safetensors.torch import load_file
except ImportError:
    torch = None


def write(directory, name, data):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "w") as f:
        json.dump(data, f)


class Whole:
    def save_pretrained(self, directory):
        write(directory, "config.json", {"model_type": "llama"})


class Adapted:
    """As PeftModel saves: adapters that are not called default in a folder of their own."""

    def __init__(self, base="org/base", name="default"):
        self.peft_config, self.base, self.active_adapter = {name: None}, base, name

    def save_pretrained(self, directory):
        own = directory if self.active_adapter == "default" else os.path.join(directory, self.active_adapter)
        write(own, "adapter_config.json", {"base_model_name_or_path": self.base, "r": 8})
        write(own, "adapter_model.safetensors", {})
        if self.active_adapter != "default":
            write(os.path.join(directory, "another"), "adapter_config.json", {})


class Broken(Whole):
    def save_pretrained(self, directory):
        super().save_pretrained(directory)
        raise OSError("disk full")


class Tokenizer:
    def save_pretrained(self, directory):
        write(directory, "tokenizer_config.json", {"chat_template": "{{ messages }}"})


class Test(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.tmp = tmp.name
        self.dir = os.path.join(self.tmp, "out")

    def config(self, name="adapter_config.json"):
        with open(os.path.join(self.dir, name)) as f:
            return json.load(f)

    def test_adapter(self):
        for name in ("default", "story"):
            llcuda_export.save(Adapted(name=name), self.dir, Tokenizer(), overwrite=True)
            self.assertEqual(sorted(os.listdir(self.dir)), ["adapter_config.json", "adapter_model.safetensors", "tokenizer_config.json"])
            self.assertEqual(self.config(), {"base_model_name_or_path": "org/base", "r": 8})

    def test_base(self):
        llcuda_export.save(Adapted(base=None), self.dir, base="org/other")
        self.assertEqual(self.config()["base_model_name_or_path"], "org/other")
        os.chdir(self.tmp)
        os.mkdir("here")
        llcuda_export.save(Adapted(base="here"), self.dir, overwrite=True)
        self.assertEqual(self.config()["base_model_name_or_path"], os.path.realpath(os.path.join(self.tmp, "here")))
        with self.assertRaisesRegex(ValueError, "give base='org/name'"):
            llcuda_export.save(Adapted(base=None), self.dir, overwrite=True)
        self.assertTrue(self.config(), "an error has to leave what was there")

    def test_whole(self):
        self.assertEqual(llcuda_export.save(Whole(), self.dir, Tokenizer()), self.dir)
        self.assertEqual(sorted(os.listdir(self.dir)), ["config.json", "tokenizer_config.json"])

    def test_keeps(self):
        write(self.dir, "mine", {})
        with self.assertRaisesRegex(FileExistsError, "overwrite=True"):
            llcuda_export.save(Whole(), self.dir)
        with self.assertRaisesRegex(OSError, "disk full"):
            llcuda_export.save(Broken(), self.dir, overwrite=True)
        self.assertEqual(os.listdir(self.dir), ["mine"])
        self.assertEqual(os.listdir(self.tmp), ["out"])
        llcuda_export.save(Whole(), self.dir, overwrite=True)
        self.assertEqual(os.listdir(self.dir), ["config.json"])
        self.assertEqual(os.listdir(self.tmp), ["out"])

    def test_keeps_folders(self):
        """Trainer's output_dir has the checkpoints of hours."""
        write(os.path.join(self.dir, "checkpoint-60"), "config.json", {})
        with self.assertRaisesRegex(FileExistsError, "checkpoint-60"):
            llcuda_export.save(Whole(), self.dir, overwrite=True)
        self.assertEqual(os.listdir(os.path.join(self.dir, "checkpoint-60")), ["config.json"])
        self.assertEqual(os.listdir(self.tmp), ["out"])

    def test_several_active(self):
        model = Adapted()
        model.active_adapters = ["default", "story"]
        with self.assertRaisesRegex(ValueError, "default, story"):
            llcuda_export.save(model, self.dir)
        self.assertEqual(os.listdir(self.tmp), [])

    def test_refuses(self):
        for model, options, want in ((Whole(), {"method": "lora"}, "want one of"), (Whole(), {"method": "adapter"}, "no adapter"),
                                     (Adapted(), {"method": "model"}, "has an adapter"), (Whole(), {"base": "x"}, "base goes with")):
            with self.assertRaisesRegex(ValueError, want):
                llcuda_export.save(model, self.dir, **options)
        self.assertEqual(os.listdir(self.tmp), [])


@unittest.skipIf(torch is None, "no torch, transformers, peft")
class TestReal(Test):
    def model(self, tied=False, dtype=None, **options):
        torch.manual_seed(1)
        config = transformers.LlamaConfig(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                                          num_key_value_heads=2, tie_word_embeddings=tied)
        base = transformers.LlamaForCausalLM(config).to(dtype or torch.float32)
        lora = peft.LoraConfig(r=4, lora_alpha=8, **{"target_modules": ["q_proj", "down_proj"], **options})
        model = peft.get_peft_model(base, lora)
        for name, p in model.named_parameters():
            if p.requires_grad:
                p.data.normal_(0, 0.1)
        return model

    def test_merged(self):
        for tied, options in ((False, {}), (True, {}), (False, {"use_dora": True}), (False, {"modules_to_save": ["lm_head"]}), (False, {"use_rslora": True})):
            with self.subTest(tied=tied, **options):
                model = self.model(tied, **options)
                before = {k: v.clone() for k, v in model.state_dict().items()}
                want = copy.deepcopy(model).merge_and_unload().state_dict()
                llcuda_export.SHARD = 20000
                self.addCleanup(setattr, llcuda_export, "SHARD", 4 << 30)
                model.save_pretrained_llcuda(self.dir, method="merged", overwrite=True)
                got = {}
                for name in os.listdir(self.dir):
                    if name.endswith(".safetensors"):
                        got.update(load_file(os.path.join(self.dir, name)))
                if tied:
                    del want["lm_head.weight"]
                self.assertEqual(sorted(got), sorted(want))
                for name, w in want.items():
                    self.assertEqual(got[name].dtype, torch.bfloat16)
                    self.assertTrue(torch.equal(got[name], w.to(torch.bfloat16)), name)
                for name, w in model.state_dict().items():
                    self.assertTrue(torch.equal(before[name], w), name + " changed")
                again = transformers.AutoModelForCausalLM.from_pretrained(self.dir)
                self.assertTrue(torch.equal(again.state_dict()["model.layers.1.mlp.down_proj.weight"], got["model.layers.1.mlp.down_proj.weight"]))

    def test_merged_tied(self):
        """A head or an embedding that was trained by itself is no longer the other's."""

        def effective(module):
            if hasattr(module, "modules_to_save"):
                return module.modules_to_save["default"].weight
            if hasattr(module, "base_layer"):
                return module.base_layer.weight + module.get_delta_weight("default")
            return module.weight

        for options in (
            {"modules_to_save": ["lm_head"]},
            {"modules_to_save": ["embed_tokens"]},
            {"modules_to_save": ["embed_tokens", "lm_head"]},
            {"target_modules": ["q_proj", "lm_head"]},
            {"target_modules": ["q_proj", "embed_tokens"]},
            {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
            {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        ):
            with self.subTest(**options):
                model = self.model(True, **options)
                before = {k: v.clone() for k, v in model.state_dict().items()}
                inner = model.get_base_model()
                head, embed = (effective(m).detach().to(torch.bfloat16) for m in (inner.get_output_embeddings(), inner.get_input_embeddings()))
                self.assertEqual(torch.equal(head, embed), "ensure_weight_tying" in options)
                model.save_pretrained_llcuda(self.dir, method="merged", overwrite=True)
                again = transformers.AutoModelForCausalLM.from_pretrained(self.dir, dtype=torch.bfloat16)
                self.assertTrue(torch.equal(again.get_output_embeddings().weight, head), "head")
                self.assertTrue(torch.equal(again.get_input_embeddings().weight, embed), "embedding")
                for name, w in model.state_dict().items():
                    self.assertTrue(torch.equal(before[name], w), name + " changed")

    def test_real_adapter(self):
        model = self.model()
        model.peft_config["default"].base_model_name_or_path = "org/base"
        model.save_pretrained_llcuda(self.dir)
        self.assertEqual(self.config()["base_model_name_or_path"], "org/base")
        self.assertIn("adapter_model.safetensors", os.listdir(self.dir))

    def test_packed(self):
        try:
            import bitsandbytes as bnb
        except ImportError:
            self.skipTest("no bitsandbytes")
        model = self.model(dtype=torch.bfloat16)
        layer = model.base_model.model.model.layers[0].self_attn.q_proj
        floats = layer.base_layer.weight.data.clone()
        packed = bnb.nn.Linear4bit(64, 64, bias=False, quant_type="nf4", compute_dtype=torch.bfloat16)
        packed.weight = bnb.nn.Params4bit(floats, requires_grad=False, quant_type="nf4").to("cpu")
        if packed.weight.quant_state is None:
            packed.weight = packed.weight._quantize("cpu")
        layer.base_layer = packed
        model.save_pretrained_llcuda(self.dir, method="merged")
        got = load_file(os.path.join(self.dir, "model.safetensors"))["model.layers.0.self_attn.q_proj.weight"]
        want = bnb.functional.dequantize_4bit(packed.weight.data, packed.weight.quant_state).float() + layer.get_delta_weight("default").float()
        self.assertTrue(torch.equal(got, want.to(torch.bfloat16)))


if __name__ == "__main__":
    unittest.main()
