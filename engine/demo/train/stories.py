"""Prompts and the stories that answer them, from a grammar of our own: `python stories.py 20` prints twenty.

A template is text with choices, `[sunny|rainy]`, which may nest, and names in braces, `{he}`, that a story's cast
fills in; `{He}` is the same with a capital. What is `he` of the hero is `fhe` of the friend and `ehe` of the elder.
"""

import random
import re
import sys
from pathlib import Path

from plots import *
from prompts import *
from words import *

CHOICE = re.compile(r"\[([^\[\]]*)\]")
PRONOUNS = {"she": ("she", "her", "her", "herself"), "he": ("he", "him", "his", "himself")}
QUESTIONS = [line.split("|") for line in (Path(__file__).parent / "questions.txt").read_text().splitlines() if line[0] != "#"]
COMMON, KNOWN = 46, 90  # so many of them, the first ones, are asked most, and at all
SYLLABLES = """ba be bi bo bra cal cha co da de do dra el en fa fi flo fro ga gi glo gor ha hi hu in ja jo ka ki kra la le li lo
ma me mi mo na ne ni no or pa pe pi plo qua ra ri ro sa se shi sno ta ti to tri u va vi wa wi xa ya yo za zi zu""".split()


def article(noun):
    """noun with a or an."""
    return ("an " if re.match(r"[aeiou](?!ni[cv]|s[eu])", noun, re.I) else "a ") + noun


def capital(text):
    return text[:1].upper() + text[1:]


class Teller:
    """Tells stories; the same seed tells the same ones."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def chance(self, p):
        return self.random.random() < p

    def expand(self, template, cast):
        """Chooses among the template's alternatives, innermost first, and fills in the cast."""
        text = None
        while text != template:
            text, template = template, CHOICE.sub(lambda m: self.pick(m[1].split("|")), template)
        text = re.sub(r"\{(\w+)\}", lambda m: cast[m[1]] if m[1] in cast else capital(cast[m[1][0].lower() + m[1][1:]]), text)
        return re.sub(r" +", " ", re.sub(r'\." ((he |she )?said|asked)', r'," \1', text)).strip()

    def word(self):
        """A word that nobody knows, as prompts have them."""
        if self.chance(0.5):
            a, b = self.pick(COUNT + PLURAL + ADJECTIVES), self.pick(COUNT + PLURAL + THINGS)
            return (a[: self.random.randint(1, 5)] + b[self.random.randint(1, 5) :]).lower() or a
        return "".join(self.pick(SYLLABLES) for _ in range(self.random.randint(2, 4))) + self.pick(["", "", "n", "r", "s", "t", "x"])

    def kind(self, pronoun):
        """What a hero may be."""
        if self.chance(0.4):
            return "girl" if pronoun == "she" else "boy"
        return self.pick(ANIMALS + [kind for kind, only in PEOPLE.items() if only in ("", pronoun)])

    def cast(self, plot, kind=None, **given):
        """What a template can name: the hero h, the friend f, the elder e, their pronouns, a thing, places, …"""
        hero, pronoun, friend, fkind, fpronoun, elder, ehe, thing, color = CAST[plot]
        c = {}
        for prefix, kind, name, pronoun in (("", kind or self.kind(pronoun), hero, pronoun), ("f", fkind, friend, fpronoun)):
            c |= {prefix + word: form for word, form in zip(("he", "him", "his", "himself"), PRONOUNS[pronoun])}
            size = self.pick(SIZES)
            c |= {prefix + "kind": kind, prefix or "h": name, prefix + "adjective": size, "afriend" if prefix else "ahero": article(f"{size} {kind}")}
        _, ehim, ehis, _ = PRONOUNS[ehe]
        colored = f"{color} {thing}"
        c |= {"e": self.expand(elder, c), "ehe": ehe, "ehim": ehim, "ehis": ehis, "thing": thing, "colored": colored, "acolored": article(colored),
              "place": self.pick(PLACES), "home": self.pick(HOMES), "hobby": self.pick(HOBBIES), "food": self.pick(FOODS),
              "weather": self.pick(WEATHER), "time": self.pick(TIMES)}
        return c | given

    def tell(self, plots=PLOTS, openings=OPENINGS, kind=None, **given):
        """A whole story: who, what happens, how it ends."""
        plot = self.pick([p for p in plots if not kind or PEOPLE.get(kind, "") in ("", CAST[p][1])])
        cast = self.cast(plot, kind, **given)
        text = self.pick(openings)
        if cast["kind"] in KINDS and self.chance(0.6):
            text += " " + self.pick(KINDS[cast["kind"]])
        elif self.chance(0.3):
            text += " " + self.pick(TRAITS)
        text += plot
        if self.chance(0.15):
            text += " " + self.pick(MORALS)
        elif self.chance(0.2):
            text += " " + self.pick(ENDINGS)
        return "\n\n".join(self.expand(p, cast) for p in text.split("\n\n"))

    def topic(self):
        """Anything at all: (noun phrase, bare noun, is or are)."""
        if self.chance(0.15):
            w = self.word()
            w = capital(w) if self.chance(0.5) else w
            return self.pick([article(w), w]), w, "is"
        kind = self.random.random()
        if kind < 0.5:
            noun = self.pick(COUNT + THINGS + ANIMALS)
            if self.chance(0.3):
                noun = f"{self.pick(ADJECTIVES)} {noun}"
            return article(noun), noun, "is"
        noun = self.pick(MASS if kind < 0.8 else PLURAL)
        return noun, noun, "is" if kind < 0.8 else "are"

    def names(self):
        """What the templates of prompts.py name."""
        topic, noun, be = self.topic()
        other, noun2, _ = self.topic()
        return {"topic": topic, "noun": noun, "be": be, "does": "does" if be == "is" else "do", "was": "was" if be == "is" else "were", "other": other, "noun2": noun2, "noun3": self.topic()[1],
                "things": self.pick(PLURAL), "person": self.pick(GIRLS + BOYS), "animal": self.pick(ANIMALS), "newword": self.word(), "newname": capital(self.word()),
                "newname2": capital(self.word()), "number": str(self.random.randint(0, 99)), "number2": str(self.random.randint(0, 99))}

    def request(self, what):
        prompt = self.expand(self.pick(REQUESTS), {"what": what})
        return capital(prompt) if self.chance(0.2) else prompt

    def sloppy(self, prompt):
        """The prompt as people type it."""
        if self.chance(0.18):
            prompt = prompt.rstrip("?.")
        if self.chance(0.15):
            prompt = prompt.lower() if self.chance(0.5) else prompt[0].lower() + prompt[1:]
        return prompt + " " if self.chance(0.03) else prompt

    # Each kind of prompt gives a pair: the prompt, and what follows it. The answer to a prompt begins on a new line.

    def bare(self):
        """No prompt, or the first words of any story."""
        words = self.tell(openings=OPENINGS + STARTS).split(" ")
        n = self.random.randint(0, 8)
        return " ".join(words[:n]), " " * (n > 0) + " ".join(words[n:])

    def begun(self):
        """The first words that people like to begin with."""
        first, rest = self.pick(FIRST_WORDS)
        story = self.tell(openings=[rest])
        return self.expand(first, {}), ("" if story[0] == "," else " ") + story

    def hero(self):
        """A story asked for by what its hero is."""
        kind = self.kind(self.pick(["she", "he"]))
        noun = kind if self.chance(0.7) else f"{self.pick(SIZES + ['little'] * 6)} {kind}"
        a = article(noun)
        many = noun + "s" if noun[-1] not in "sxfyh" else noun
        what = self.pick([a, a, a, a, f"the {noun}", f"{a} {self.pick(ACTS)}", f"{a} {self.pick(PLACES)}", f"{a} named {self.pick(GIRLS + BOYS)}", many, f"{a} and {article(self.kind('she'))}"])
        return self.request(what), "\n" + self.tell(kind=kind)

    def about(self):
        """A story about a thing that we have a word for."""
        topic = self.pick(TOPICS)
        noun = re.sub("^(an?|the) ", "", topic)
        return self.request(self.pick([topic, topic, noun, "the " + noun])), "\n" + self.tell(ABOUT, topic=topic)

    def other(self):
        """A story about anything else: it does not say what it is about."""
        topic, noun, _ = self.topic()
        words = self.expand(self.pick(SAID), self.names()) + self.pick(["", "", ".", "!"])
        return self.pick([self.request(topic), self.request(noun), words]), "\n" + self.tell()

    def question(self):
        """A question whose answer questions.txt has."""
        asked, answer = self.pick(QUESTIONS[:COMMON] if self.chance(0.75) else QUESTIONS[:KNOWN])
        prompt = asked
        m = re.match(r"What (is|are) (.*)\?$", asked)
        if m and self.chance(0.35):
            prompt = self.expand(self.pick(WHAT_IS), {"be": m[1], "topic": m[2], "noun": re.sub(r"^(an?|the) ", "", m[2])})
        return self.sloppy(prompt), "\n" + self.tell(ANSWERED, q=asked, answer=answer)

    def unknown(self):
        """A question without an answer: the story looks for one."""
        asked = self.expand(self.pick(ASKED), self.names())
        if any(asked == known for known, _ in QUESTIONS[:KNOWN]):
            return self.question()
        return self.sloppy(asked), "\n" + self.tell(CURIOUS)

    def greeting(self):
        return self.pick(HELLO) + self.pick(["", "", "!", ".", "?"]), "\n" + self.tell(GREETED)

    def story(self):
        """A prompt and the story that follows it."""
        kinds = {self.bare: 12, self.begun: 12, self.hero: 17, self.about: 8, self.other: 6, self.question: 36, self.unknown: 10, self.greeting: 4}
        return self.random.choices(list(kinds), list(kinds.values()))[0]()


if __name__ == "__main__":
    teller = Teller(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for _ in range(int(sys.argv[1])):
        prompt, rest = teller.story()
        print(f"<{prompt}>{rest}\n---")
