"""The questions a model is measured with, and the proof that training cannot have seen the held out ones."""

import itertools
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.demo_model import corpus, tables
from tools.demo_model.choices import plain
from tools.demo_model.conversation import Conversation
from tools.demo_model.draw import NEW_PHRASINGS, NEW_WORDS, TRAINING, Draw, Sources, Split

SUITES = {"seen": TRAINING, "new phrasings": NEW_PHRASINGS, "new words": NEW_WORDS}


@dataclass(frozen=True)
class Case:
    """A prompt and the one answer that counts."""

    suite: str
    kind: str
    prompt: str
    wanted: str


@dataclass(frozen=True)
class MustAnswer:
    """A conversation and a pattern that the whole answer must match."""

    conversation: Conversation
    pattern: re.Pattern[str]

    @property
    def prompt(self) -> str:
        """Return what the model is given."""
        return self.conversation.exam()[0]

    @classmethod
    def load(cls) -> "list[MustAnswer]":
        """Read `must_answer.jsonl`."""
        return [cls._read(json.loads(line)) for line in tables.lines("must_answer.jsonl")]

    @classmethod
    def _read(cls, row: dict[str, Any]) -> "MustAnswer":
        asked = row["messages"] if "messages" in row else [{"role": "user", "content": row["ask"]}]
        conversation = Conversation([*asked, {"role": "assistant", "content": ""}], row.get("tools", []))
        return cls(conversation, re.compile(str(row["answer"]), re.DOTALL))


def cases(sources: Sources, per_kind: int, seed: int, trained: set[str]) -> Iterator[Case]:
    """Yield the questions of all suites; a held out question is not asked if it is in `trained`."""
    for suite, split in SUITES.items():
        for kind in corpus.COPYING if split.held_words else corpus.WEIGHTS:
            rng = random.Random(f"{seed} {suite} {kind.__name__}")  # noqa: S311 - nothing secret
            draw = Draw(sources, rng, split)
            for conversation in itertools.islice(_fresh(kind, draw, split, trained), per_kind):
                yield Case(suite, kind.__name__, *conversation.exam())


def _fresh(kind: corpus.Kind, draw: Draw, split: Split, trained: set[str]) -> Iterator[Conversation]:
    while True:
        conversation = kind(draw)
        if split is TRAINING or asks(conversation) not in trained:
            yield conversation


def asks(conversation: Conversation) -> str:
    """Return all that the user says in a conversation, without case and punctuation."""
    return plain(" / ".join(m["content"] for m in conversation.messages if m["role"] == "user"))


def trained_questions(sources: Sources, count: int, seed: int = 2**31) -> set[str]:
    """Return what a sample of the training corpus asks; AssertionError if a held out word is in it."""
    kinds = sources.words.kinds
    held = [word for kind in ("name", "city", "thing") for word in kinds[kind].held]
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, held)) + r")\b")
    found = set()
    for conversation in itertools.islice(corpus.conversations(sources, seed), count):
        leaked = pattern.search(conversation.text())
        if leaked:
            raise AssertionError(f"the held out word {leaked[0]!r} is trained on: {conversation.text()}")
        found.add(asks(conversation))
    return found
