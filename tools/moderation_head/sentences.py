"""Labelled sentences, from the files in data/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.moderation.categories import CATEGORIES, Category, with_parents

DATA: Final = Path(__file__).with_name("data")
TRAINING: Final = DATA / "train.tsv"
HELD_OUT: Final = DATA / "heldout.tsv"
_INNOCENT: Final = "-"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text and what is wrong with it: nothing, or categories together with what they are parts of."""

    text: str
    categories: frozenset[Category]


def read(path: Path) -> list[Sentence]:
    """Read a file of lines `category,category<TAB>text` ("-": innocent; "#" starts a comment).

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not of that form; the text names it.
    """
    sentences = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("#"):
            continue
        names, tab, text = line.partition("\t")
        try:
            named = [] if names == _INNOCENT else [Category(name) for name in names.split(",")]
        except ValueError as error:
            raise ValueError(f"{path.name}:{number}: {error}") from None
        if not tab or not text.strip():
            raise ValueError(f"{path.name}:{number}: there is no text")
        sentences.append(Sentence(text, with_parents(named)))
    return sentences


def labels(sentences: list[Sentence]) -> NDArray[np.bool_]:
    """Answer what each sentence is labelled with: shape (sentences, categories + 1), last whether with anything."""
    rows = [[one in sentence.categories for one in CATEGORIES] for sentence in sentences]
    named = np.array(rows, bool).reshape(len(rows), len(CATEGORIES))
    return np.hstack([named, named.any(axis=1, keepdims=True)])
