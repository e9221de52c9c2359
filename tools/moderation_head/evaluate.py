"""Judge the committed head by sentences it was not trained on: `python -m tools.moderation_head.evaluate [--errors]`.

Prints the two tables of README.md: the held-out sentences one by one, and each harmful one of them in the middle of a
long innocent text, for several ways of cutting the text into windows.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.moderation.categories import CATEGORIES
from services.moderation.classifier import Classifier, Window, packaged_model, worst
from services.moderation.head import load, thresholds
from services.moderation.windows import Windowing
from tools.moderation_head.sentences import HELD_OUT, TRAINING, Sentence, labels, read

Flags = NDArray[np.bool_]

SERVED: Final = Windowing()
WINDOWINGS: Final = {
    "254 tokens": Windowing(longest=254, overlap=32, joined=254),
    "126 tokens": Windowing(longest=126, overlap=32, joined=126),
    "62 tokens": Windowing(longest=62, overlap=16, joined=62),
    "sentences (as served)": SERVED,
}
SURROUNDING: Final = 24
"""Innocent sentences around a harmful one."""
_BATCH: Final = 32


@dataclass(frozen=True, slots=True)
class Count:
    """How sentences of one category, or of any, were judged."""

    sentences: int
    caught: int
    others: int
    false_alarms: int


def count(flagged: Flags, labelled: Flags) -> Count:
    """Count over one column of flags and one of labels."""
    return Count(
        sentences=int(labelled.sum()),
        caught=int((flagged & labelled).sum()),
        others=int((~labelled).sum()),
        false_alarms=int((flagged & ~labelled).sum()),
    )


def counts(flagged: Flags, sentences: list[Sentence]) -> dict[str, Count]:
    """Count for each category; then for "any": flagged with something, right or wrong, against labelled at all.

    `flagged` is (sentences, categories).
    """
    y = labels(sentences)
    table = {one.value: count(flagged[:, index], y[:, index]) for index, one in enumerate(CATEGORIES)}
    return {**table, "any": count(flagged.max(axis=1), y[:, -1])}


def judged(classifier: Classifier, texts: Sequence[str]) -> Flags:
    """Flag each text as the service does with its default thresholds; shape (texts, categories)."""
    scores = [worst(_scores(classifier, classifier.windows(text))) for text in texts]
    flags: Flags = np.stack(scores) >= thresholds({})
    return flags


def _scores(classifier: Classifier, windows: list[Window]) -> NDArray[np.float32]:
    parts = [classifier.scores(windows[start : start + _BATCH]) for start in range(0, len(windows), _BATCH)]
    return np.concatenate(parts)


def surrounded(text: str, number: int, innocents: Sequence[str]) -> list[str]:
    """Put the `number`-th `text` among its share of `innocents`, somewhere; the same place every time."""
    start = number * SURROUNDING
    around = [innocents[index % len(innocents)] for index in range(start, start + SURROUNDING)]
    place = number % (SURROUNDING + 1)
    return [*around[:place], text, *around[place:]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; with `--errors` also each sentence that was judged wrongly."""
    parser = argparse.ArgumentParser(prog="python -m tools.moderation_head.evaluate", description=__doc__)
    parser.add_argument("--errors", action="store_true", help="print what was judged wrongly")
    options = parser.parse_args(arguments)
    sentences = read(HELD_OUT)
    classifier = Classifier.load(packaged_model(), load(), SERVED)
    flagged = judged(classifier, [one.text for one in sentences])
    _print_sentences(counts(flagged, sentences))
    _print_texts(sentences)
    if options.errors:
        _print_errors(flagged, sentences)
    return 0


def _print_sentences(table: dict[str, Count]) -> None:
    print("| category | sentences | caught | recall | others | false alarms |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, one in table.items():
        recall = f"{one.caught / one.sentences:.0%}"
        print(f"| {name} | {one.sentences} | {one.caught} | {recall} | {one.others} | {one.false_alarms} |")


def _print_texts(sentences: list[Sentence]) -> None:
    """Only innocents that are not flagged alone surround, or they would count as the harmful one's discovery."""
    training = [one.text for one in read(TRAINING) if not one.categories]
    alone = judged(Classifier.load(packaged_model(), load(), SERVED), training).max(axis=1)
    innocents = [text for text, flag in zip(training, alone, strict=True) if not flag]
    harmful = [one.text for one in sentences if one.categories][::2]
    print(f"\n| windows | harmful sentence found among {SURROUNDING} innocent ones | flagged without it |")
    print("|---|--:|--:|")
    for name, windowing in WINDOWINGS.items():
        classifier = Classifier.load(packaged_model(), load(), windowing)
        texts = [surrounded(text, number, innocents) for number, text in enumerate(harmful)]
        without = [[one for one in text if one != bad] for text, bad in zip(texts, harmful, strict=True)]
        found = judged(classifier, list(map(" ".join, texts))).max(axis=1).mean()
        wrong = judged(classifier, list(map(" ".join, without))).max(axis=1).mean()
        print(f"| {name} | {found:.0%} | {wrong:.0%} |", flush=True)


def _print_errors(flagged: Flags, sentences: list[Sentence]) -> None:
    print()
    for sentence, row in zip(sentences, flagged, strict=True):
        found = {one for one, flag in zip(CATEGORIES, row, strict=True) if flag}
        if bool(found) != bool(sentence.categories):
            kind, what = ("missed", sentence.categories) if sentence.categories else ("false alarm", found)
            print(f"{kind}: {', '.join(sorted(what))}: {sentence.text}")


if __name__ == "__main__":
    raise SystemExit(main())
