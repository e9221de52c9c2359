"""The random choices a conversation is made of, which respect what is held out of training."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tools.demo_model import tables
from tools.demo_model.choices import Choices
from tools.demo_model.conversation import Conversation, Message, dumps
from tools.demo_model.facts import Country, Facts
from tools.demo_model.words import Words

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """What a draw may use: nothing held out in training, phrasings or words in tests."""

    held_phrasings: bool = False
    held_words: bool = False


TRAINING = Split()
NEW_PHRASINGS = Split(held_phrasings=True)
NEW_WORDS = Split(held_words=True)


@dataclass(frozen=True)
class Sources:
    """All tables, loaded once."""

    facts: Facts
    words: Words
    phrasings: dict[str, Choices]
    unknown: Choices

    @classmethod
    def load(cls) -> "Sources":
        """Read every table."""
        phrasings = {heading: Choices.of(lines) for heading, lines in tables.sections("phrasings.txt").items()}
        return cls(Facts.load(), Words.load(), phrasings, Choices.of(tables.lines("unknown.txt")))


class Draw:
    """A source of random phrasings, words and one-question conversations."""

    def __init__(self, sources: Sources, rng: random.Random, split: Split = TRAINING) -> None:
        self.facts, self.rng, self.split, self._sources = sources.facts, rng, split, sources

    # -- plain choices

    def chance(self, share: float) -> bool:
        """Return True this often."""
        return self.rng.random() < share

    def one(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return self.rng.choice(options)

    def asked(self, choices: Choices) -> str:
        """Return one phrasing of the part this draw may use."""
        return self.rng.choice(choices.part(self.split.held_phrasings))

    def ask(self, section: str, **slots: object) -> str:
        """Return one phrasing of a section of `phrasings.txt`, filled in."""
        return self.asked(self._sources.phrasings[section]).format(**slots)

    def unknown_question(self) -> str:
        """Return a question the model cannot answer."""
        return self.asked(self._sources.unknown).format(
            w=self.thing(),
            c=self.one(self.country().names),
            n=self.name(),
            x=self.invented().capitalize(),
            y=self.rng.randint(1000, 2030),
            a=self.word("adjective"),
            t=self.city(),
        )

    # -- words

    def word(self, kind: str) -> str:
        """Return a listed word of a kind, a held out one in a test of new words."""
        return self.rng.choice(self._sources.words.kinds[kind].part(self.split.held_words))

    def hard_word(self, kind: str) -> str:
        """Return a listed word of a kind, split like a phrasing: it must be understood, not copied."""
        return self.rng.choice(self._sources.words.kinds[kind].part(self.split.held_phrasings))

    def invented(self) -> str:
        """Return an invented word in lower case."""
        return self._sources.words.invent(self.rng, self.split.held_words)

    def name(self) -> str:
        """Return a first name, listed or invented, now and then with a family name."""
        name = self.word("name") if self.chance(0.5) else self.invented().capitalize()
        return f"{name} {self.invented().capitalize()}" if self.chance(0.08) else name

    def city(self) -> str:
        """Return a city, listed or invented."""
        x = self.rng.random()
        if x < 0.45:
            return self.word("city")
        if x < 0.6 and not self.split.held_words:
            return self.country().capital
        if x < 0.7:
            start = self.one(["San", "New", "Port", "Saint", "Bad", "Los", "Fort", "East"])
            return f"{start} {self.invented().capitalize()}"
        return self.invented().capitalize()

    def thing(self) -> str:
        """Return a thing, mostly a listed one."""
        return self.word("thing") if self.chance(0.75) else self.invented()

    def code(self) -> str:
        """Return an identifier: an order number, a version, a ticker, a file name, an address."""
        r, word = self.rng, self.invented()
        return r.choice(
            [
                f"{word[:3].upper()}-{r.randint(1, 99999)}",
                f"{r.randint(100, 99999)}",
                f"v{r.randint(0, 20)}.{r.randint(0, 20)}",
                word[:4].upper(),
                f"{word}.txt",
                f"{word}@{self.invented()}.com",
                f"{word}_{self.invented()}",
                f"#{r.randint(1, 9999)}",
                f"{word}-{r.randint(1, 99)}",
                "".join(r.choice("0123456789abcdef") for _ in range(r.randint(4, 8))),
            ]
        )

    def value(self) -> str:
        """Return anything that can be copied."""
        return self.one([self.name, self.city, self.thing, self.invented, self.code])()

    def country(self) -> Country:
        """Return a country."""
        return self.rng.choice(self.facts.countries)

    # -- conversations

    def noise(self, question: str) -> str:
        """Do to a question what people do: politeness, lower case (of names too), missing punctuation."""
        r = self.rng
        if r.random() < 0.1:
            keep = question[:2] in ("I ", "I'") or not question[1:2].islower()
            lower = question if keep else question[0].lower() + question[1:]
            question = self.ask("politely", q=question, l=lower)
        if r.random() < 0.13:
            question = question.lower()
        return question.rstrip("?.!") or question if r.random() < 0.2 else question

    def chat(self, question: str, answer: str, short: str | None = None, noise: bool = True) -> Conversation:
        """Return a one-question conversation, at times with a system prompt, which may change the answer."""
        x, system = self.rng.random(), None
        if x < 0.2:
            system = self.harmless_system()
        elif x < 0.235 and short:
            system, answer = self.ask("system one word"), short
        elif x < 0.25:
            system, answer = self.ask("system pirate"), "Arr! " + answer
        elif x < 0.265:
            prefix = self.one([self.invented, self.name, self.thing])().capitalize() + self.one(["!", ":", ".", ""])
            system, answer = self.ask("system prefix", p=prefix), f"{prefix} {answer}"
        elif x < 0.28 and "\n" not in answer and '"' not in answer:
            system, answer = self.ask("system json"), dumps({"answer": short or answer})
        return Conversation(
            ([said("system", system)] if system else [])
            + [said("user", self.noise(question) if noise else question), said("assistant", answer)]
        )

    def harmless_system(self) -> str:
        """Return a system prompt that does not change answers."""
        if self.split.held_phrasings or self.chance(0.55):
            return self.ask("system")
        name = self.invented().capitalize()
        where = self.ask("where", n=name, t=self.thing(), c=self.city()) if self.chance(0.5) else ""
        slots = {"g": self.ask("good"), "h": self.word("adjective"), "t": self.thing(), "w": where}
        return self.ask("system with slots", **slots)


def said(role: str, content: str) -> Message:
    """Return a plain message."""
    return {"role": role, "content": content}
