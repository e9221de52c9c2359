"""What is counted as caught and as false alarm, and how a sentence is buried."""

from __future__ import annotations

import numpy as np

from services.moderation.categories import CATEGORIES, Category
from tools.moderation_head.evaluate import SURROUNDING, Count, counts, surrounded
from tools.moderation_head.sentences import Sentence


def flags(*categories: Category) -> list[bool]:
    return [one in categories for one in CATEGORIES]


def test_a_sentence_that_is_flagged_for_something_else_counts_as_caught_at_all_only() -> None:
    sentences = [
        Sentence("a", frozenset({Category.HATE})),
        Sentence("b", frozenset({Category.HATE})),
        Sentence("c", frozenset()),
        Sentence("d", frozenset()),
    ]
    table = counts(np.array([flags(Category.HATE), flags(Category.VIOLENCE), flags(Category.HATE), flags()]), sentences)
    assert table["hate"] == Count(sentences=2, caught=1, others=2, false_alarms=1)
    assert table["violence"] == Count(sentences=0, caught=0, others=4, false_alarms=1)
    assert table["any"] == Count(sentences=2, caught=2, others=2, false_alarms=1)


def test_a_buried_sentence_is_once_among_innocents() -> None:
    innocents = [f"innocent {number}" for number in range(30)]
    for number in (0, 7, 24, 60):
        text = surrounded("harmful", number, innocents)
        assert len(text) == SURROUNDING + 1
        assert text.count("harmful") == 1
        assert set(text) - {"harmful"} <= set(innocents)
