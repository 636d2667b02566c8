"""The tokenizer: byte-level BPE with GPT-2's pre-tokenizer, trained on the stories."""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import words
from stories import QUESTIONS, Teller

END = "<|endoftext|>"  # id 0, begins and ends each document
SIZE = 3072


def train(path: Path, stories=40_000):
    teller = Teller(1)
    lists = [v for name, v in vars(words).items() if name.isupper()]
    rare = [" " + w for v in lists for w in v] * 30 + [" ".join(q) for q in QUESTIONS] * 100  # each word of ours, a token
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(rare + ["".join(teller.story()) for _ in range(stories)], trainer)
    tokenizer.save(str(path))


def load(path: Path):
    return Tokenizer.from_file(str(path))
