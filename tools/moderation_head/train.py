"""Train the head: `python -m tools.moderation_head.train [--check]`.

The recipe, each choice made by cross-validation on the training sentences:

* Features are the means after layers 2, 4 and 6. The last layer alone, the model's own sentence vector, catches less at
  the same false alarms (README.md). They are standardised, which is folded into the weights afterwards.
* The gate stops nine innocent training sentences of ten, and what passes it must also be of some category.
* Each category's threshold is the one with the best F1 among what passes the gate. All thresholds are moved to a score
  of one half.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.moderation.classifier import Classifier, packaged_model
from services.moderation.head import GATE, PACKAGED_HEAD, Head, load, save
from services.moderation.windows import Windowing
from tools.moderation_head import logistic
from tools.moderation_head.sentences import TRAINING, labels, read

NAME: Final = "capstan-moderation-1"
TAPS: Final = (2, 4, 6)
PENALTY: Final = 0.1
FOLDS: Final = 6
PASSING_INNOCENTS: Final = 0.1
LARGEST_DIFFERENCE: Final = 0.01
"""How far apart the scores of two heads may be that count as the same: other processors round differently."""

_WHOLE: Final = Windowing(longest=254, overlap=0, joined=254)
_BATCH: Final = 32

Features = NDArray[np.float32]


def train(features: Features, y: NDArray[np.bool_]) -> Head:
    """Train a head on `features` (sentences, TAPS x WIDTH) and `y` (sentences, categories + 1), see `labels`."""
    centre = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64) + 1e-6
    scale = 1 / (spread * np.sqrt(features.shape[1]))
    x = (features - centre) * scale
    thresholds = operating_points(logistic.out_of_fold(x, y, PENALTY, FOLDS), y)
    fitted = logistic.fit(x, y, PENALTY)
    weights = fitted.weights.T * scale
    biases = fitted.biases - weights @ centre - thresholds
    return Head(NAME, TAPS, weights.astype(np.float32), biases.astype(np.float32))


def operating_points(logits: NDArray[np.float64], y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Choose a threshold for each output from the logits of sentences that were not trained on."""
    gate = logits[:, GATE]
    opens = float(np.quantile(gate[~y[:, GATE]], 1 - PASSING_INNOCENTS))
    passed = gate >= opens
    chosen = [logistic.best_threshold(logits[passed, index], y[passed, index]) for index in range(GATE)]
    return np.array([*chosen, opens])


def features_of(classifier: Classifier, texts: Sequence[str]) -> Features:
    """Encode each text whole; they are single sentences."""
    windows = [classifier.windows(text)[0] for text in texts]
    parts = [classifier.encoder.features(windows[start : start + _BATCH]) for start in range(0, len(windows), _BATCH)]
    return np.concatenate(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write the head, or compare it with the committed one; answer the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.moderation_head.train", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the committed head differs")
    options = parser.parse_args(arguments)
    sentences = read(TRAINING)
    empty = Head(NAME, TAPS, np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
    features = features_of(Classifier.load(packaged_model(), empty, _WHOLE), [one.text for one in sentences])
    head = train(features, labels(sentences))
    if not options.check:
        save(head, PACKAGED_HEAD)
        print(f"{PACKAGED_HEAD}: {head.name}, trained on {len(sentences)} sentences")
        return 0
    difference = float(np.abs(head(features) - load()(features)).max())
    same = difference <= LARGEST_DIFFERENCE
    print(f"{PACKAGED_HEAD}: scores differ by at most {difference:.4f} from what training gives")
    if not same:
        print("run: python -m tools.moderation_head.train", file=sys.stderr)
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
