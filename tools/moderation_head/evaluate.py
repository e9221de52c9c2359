"""Judge the committed head by the held-out sentences: `python -m tools.moderation_head.evaluate [--errors]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.moderation.categories import CATEGORIES
from services.moderation.classifier import Classifier, packaged_model, worst
from services.moderation.head import load, thresholds
from services.moderation.windows import Windowing
from tools.moderation_head.sentences import HELD_OUT, Sentence, labels, read


@dataclass(frozen=True, slots=True)
class Count:
    """How sentences of one category, or of any, were judged."""

    sentences: int
    caught: int
    others: int
    false_alarms: int

    @classmethod
    def of(cls, flagged: NDArray[np.bool_], labelled: NDArray[np.bool_]) -> Count:
        """Count over one column of flags and one of labels."""
        return cls(
            int(labelled.sum()),
            int((flagged & labelled).sum()),
            int((~labelled).sum()),
            int((flagged & ~labelled).sum()),
        )


def counts(flagged: NDArray[np.bool_], sentences: list[Sentence]) -> dict[str, Count]:
    """Count for each category, then for "any": flagged with something, rightly or not, against labelled so.

    `flagged` is (sentences, categories).
    """
    y = labels(sentences)
    table = {one.value: Count.of(flagged[:, index], y[:, index]) for index, one in enumerate(CATEGORIES)}
    return {**table, "any": Count.of(flagged.any(axis=1), y[:, -1])}


def judged(classifier: Classifier, texts: Sequence[str]) -> NDArray[np.bool_]:
    """Flag each text as the service does with its default settings; shape (texts, categories)."""
    scores = np.stack([worst(classifier.scores(classifier.windows(text))) for text in texts])
    return scores >= thresholds({})


def main(arguments: Sequence[str] | None = None) -> int:
    """Print recall and false alarms of each category; with `--errors` each sentence that was judged wrongly."""
    parser = argparse.ArgumentParser(prog="python -m tools.moderation_head.evaluate", description=__doc__)
    parser.add_argument("--errors", action="store_true", help="print what was judged wrongly")
    options = parser.parse_args(arguments)
    sentences = read(HELD_OUT)
    classifier = Classifier.load(packaged_model(), load(), Windowing())
    flagged = judged(classifier, [one.text for one in sentences])
    print("| category | sentences | caught | recall | others | false alarms |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, count in counts(flagged, sentences).items():
        recall = f"{count.caught / count.sentences:.0%}"
        print(f"| {name} | {count.sentences} | {count.caught} | {recall} | {count.others} | {count.false_alarms} |")
    if options.errors:
        for sentence, row in zip(sentences, flagged, strict=True):
            found = {one for one, flag in zip(CATEGORIES, row, strict=True) if flag}
            if bool(found) != bool(sentence.categories):
                print(
                    "missed" if sentence.categories else "false alarm",
                    sorted(found or sentence.categories),
                    sentence.text,
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
