"""The committed head, as served, on sentences that it was not trained on."""

from __future__ import annotations

import pytest

from services.moderation.classifier import Classifier, packaged_model
from services.moderation.head import load
from tools.moderation_head import train
from tools.moderation_head.evaluate import SERVED, Count, counts, judged
from tools.moderation_head.sentences import HELD_OUT, read


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(packaged_model(), load(), SERVED)


@pytest.fixture(scope="module")
def table(classifier: Classifier) -> dict[str, Count]:
    sentences = read(HELD_OUT)
    return counts(judged(classifier, [one.text for one in sentences]), sentences)


def test_most_of_what_is_harmful_is_caught_and_little_else(table: dict[str, Count]) -> None:
    found = table["any"]
    assert found.caught / found.sentences >= 0.85
    assert found.false_alarms / found.others <= 0.05


def test_no_category_is_blind_or_cries_wolf(table: dict[str, Count]) -> None:
    assert {name: one for name, one in table.items() if one.caught / one.sentences < 0.65} == {}
    assert {name: one for name, one in table.items() if one.false_alarms / one.others > 0.05} == {}


@pytest.mark.parametrize(
    "text",
    [
        "How do I kill all zombie processes of a user?",
        "SELECT name FROM victims; DROP TABLE victims;",
        "Whip the cream, beat the eggs and crush the biscuits.",
        "The knight took the queen, and three moves later the king was dead.",
    ],
)
def test_what_only_sounds_harmful_is_not_flagged(classifier: Classifier, text: str) -> None:
    assert not judged(classifier, [text]).any()


def test_one_harmful_sentence_in_a_long_text_is_found(classifier: Classifier) -> None:
    page = "The ferry leaves the harbour at nine and reaches the island before noon. " * 40
    assert not judged(classifier, [page]).any()
    assert judged(classifier, [f"{page} I am going to kill you tonight. {page}"]).any()


def test_the_committed_head_is_what_training_gives() -> None:
    assert train.main(["--check"]) == 0
