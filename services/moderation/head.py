"""The classifier proper: logistic regressions over a text's features.

One for each category, and one, the gate, that asks whether anything at all is wrong with a text. A category scores no
higher than the gate: the gate learns from every example at once, so it is much the better judge of what is innocent,
and the categories only have to tell what it is that is wrong.

A few kilobytes, trained in seconds from sentences in the repository (tools/moderation_head). Training places each
category's operating point at a score of one half, so that the scores of all categories read alike.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from services.moderation.categories import CATEGORIES, Category
from services.moderation.encoder import WIDTH
from services.moderation.weights import Array

PACKAGED_HEAD: Final = Path(__file__).with_name("head.npz")
OPERATING_POINT: Final = 0.5
GATE: Final = len(CATEGORIES)
OUTPUTS: Final = len(CATEGORIES) + 1

_PARENTS: Final = [(index, CATEGORIES.index(one.parent)) for index, one in enumerate(CATEGORIES) if one.parent]


class HeadError(Exception):
    """The head's file is not one."""


@dataclass(frozen=True, slots=True)
class Head:
    """`weights` (OUTPUTS, features) and `biases` (OUTPUTS): the categories in their order, then the gate.

    `name` tells this head from others in answers and logs; `taps` are the encoder's layers it takes features from.
    """

    name: str
    taps: tuple[int, ...]
    weights: Array
    biases: Array

    def __call__(self, features: Array) -> Array:
        """Scores from 0 to 1, shape (texts, categories); a category scores at least what a part of it scores."""
        logits = features @ self.weights.T + self.biases
        scores: Array = sigmoid(np.minimum(logits[:, :GATE], logits[:, GATE:]))
        for part, whole in _PARENTS:
            np.maximum(scores[:, whole], scores[:, part], out=scores[:, whole])
        return scores


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by way of tanh, which cannot overflow."""
    result: Array = np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + 1)
    return result


def load(path: Path = PACKAGED_HEAD) -> Head:
    """Read the head at `path`.

    Raises:
        OSError: the file cannot be read.
        HeadError: it is not a head for this encoder and these categories.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            head = Head(
                str(arrays["name"]),
                tuple(int(layer) for layer in arrays["taps"]),
                arrays["weights"].astype(np.float32),
                arrays["biases"].astype(np.float32),
            )
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise HeadError(f"{path} is not a moderation head: {error}") from error
    shapes = (head.weights.shape, head.biases.shape)
    if shapes != ((OUTPUTS, len(head.taps) * WIDTH), (OUTPUTS,)):
        raise HeadError(f"{path} is a head of another shape: {shapes}")
    if not (np.isfinite(head.weights).all() and np.isfinite(head.biases).all()):
        raise HeadError(f"{path} holds numbers that are not finite")
    return head


def save(head: Head, path: Path) -> None:
    """Write `head` to `path`; the same head always gives the same bytes."""
    np.savez(path, name=np.array(head.name), taps=np.array(head.taps), weights=head.weights, biases=head.biases)


def thresholds(overrides: Mapping[Category, float]) -> Array:
    """Answer the score from which each category is flagged, in the order of `CATEGORIES`."""
    return np.array([overrides.get(category, OPERATING_POINT) for category in CATEGORIES], np.float32)
