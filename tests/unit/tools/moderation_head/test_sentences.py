"""The labelled sentences: enough of each kind, and none on both sides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from services.moderation.categories import CATEGORIES, Category
from tools.moderation_head.sentences import HELD_OUT, TRAINING, labels, read


def test_every_category_has_examples_on_both_sides() -> None:
    for path, least_total, least in ((TRAINING, 400, 25), (HELD_OUT, 150, 8)):
        sentences = read(path)
        count = Counter(category for sentence in sentences for category in sentence.categories)
        assert len(sentences) >= least_total
        assert {category: count[category] for category in CATEGORIES if count[category] < least} == {}
        assert sum(not sentence.categories for sentence in sentences) >= len(sentences) * 2 / 5


def test_no_sentence_is_trained_on_and_judged_by() -> None:
    texts = [" ".join(one.text.lower().split()) for path in (TRAINING, HELD_OUT) for one in read(path)]
    assert [text for text, count in Counter(texts).items() if count > 1] == []


def test_a_part_brings_its_whole(tmp_path: Path) -> None:
    path = tmp_path / "some.tsv"
    path.write_text("# a comment\nhate/threatening,violence\tone\n-\ttwo\n")
    one, two = read(path)
    assert one.categories == {Category.HATE_THREATENING, Category.HATE, Category.VIOLENCE}
    assert two.categories == frozenset()
    assert labels([one, two])[:, -1].tolist() == [True, False]
    assert labels([one, two]).sum() == 4


@pytest.mark.parametrize("line", ["hatred\ttext", "hate text", "hate\t ", "\ttext"])
def test_a_line_of_another_form_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "some.tsv"
    path.write_text(f"-\tgood\n{line}\n")
    with pytest.raises(ValueError, match=r"some\.tsv:2: "):
        read(path)
