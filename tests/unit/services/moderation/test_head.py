"""The head: scores in order, parts within their whole, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.moderation.categories import CATEGORIES, Category
from services.moderation.encoder import WIDTH
from services.moderation.head import GATE, OUTPUTS, Head, HeadError, load, save, sigmoid, thresholds


def head_that_says(gate: float, **logits: float) -> Head:
    """A head that answers the same logits for every text; categories that are not named have -9."""
    biases = [logits.get(category.name, -9.0) for category in CATEGORIES]
    return Head("test", (6,), np.zeros((OUTPUTS, WIDTH), np.float32), np.array([*biases, gate], np.float32))


def scores(head: Head) -> dict[str, float]:
    row = head(np.zeros((1, WIDTH), np.float32))[0]
    return dict(zip((category.name for category in CATEGORIES), row.tolist(), strict=True))


def test_the_categories_are_openais_thirteen_in_the_order_of_the_wire() -> None:
    assert [category.value for category in CATEGORIES] == [
        "harassment",
        "harassment/threatening",
        "hate",
        "hate/threatening",
        "illicit",
        "illicit/violent",
        "self-harm",
        "self-harm/intent",
        "self-harm/instructions",
        "sexual",
        "sexual/minors",
        "violence",
        "violence/graphic",
    ]


def test_a_category_scores_no_higher_than_the_gate() -> None:
    assert scores(head_that_says(0.0, HATE=5.0))["HATE"] == pytest.approx(0.5)
    assert scores(head_that_says(5.0, HATE=0.0))["HATE"] == pytest.approx(0.5)


def test_a_whole_scores_at_least_what_its_part_scores() -> None:
    found = scores(head_that_says(9.0, SELF_HARM_INTENT=2.0, SELF_HARM=-2.0, VIOLENCE=2.0, VIOLENCE_GRAPHIC=-2.0))
    assert found["SELF_HARM"] == found["SELF_HARM_INTENT"] == pytest.approx(0.8808, abs=1e-4)
    assert found["VIOLENCE_GRAPHIC"] < 0.5 < found["VIOLENCE"]


def test_every_part_names_its_whole() -> None:
    assert Category.HATE_THREATENING.parent is Category.HATE
    assert Category.HATE.parent is None


def test_extreme_logits_are_still_scores() -> None:
    assert sigmoid(np.array([-1e30, -100, 0, 100, 1e30], np.float32)).tolist() == [0, 0, 0.5, 1, 1]


def test_a_head_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    head = head_that_says(1.0, HATE=2.0)
    save(head, tmp_path / "head.npz")
    again = load(tmp_path / "head.npz")
    assert (again.name, again.taps) == ("test", (6,))
    assert again.weights.tolist() == head.weights.tolist()
    assert again.biases.tolist() == head.biases.tolist()


def test_the_same_head_is_always_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(head_that_says(1.0), tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_file_that_is_no_head_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.npz"
    path.write_bytes(b"PK\x03\x04 no")
    with pytest.raises(HeadError, match="not a moderation head"):
        load(path)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(HeadError, match="not a moderation head"):
        load(path)


def test_a_head_for_another_encoder_is_refused(tmp_path: Path) -> None:
    good = head_that_says(1.0)
    save(Head("test", (2, 6), good.weights, good.biases), tmp_path / "head.npz")
    with pytest.raises(HeadError, match="another shape"):
        load(tmp_path / "head.npz")


def test_a_head_with_numbers_that_are_none_is_refused(tmp_path: Path) -> None:
    save(head_that_says(float("nan")), tmp_path / "head.npz")
    with pytest.raises(HeadError, match="not finite"):
        load(tmp_path / "head.npz")


def test_a_threshold_can_be_moved_for_one_category() -> None:
    moved = thresholds({Category.VIOLENCE: 0.875})
    assert moved[CATEGORIES.index(Category.VIOLENCE)] == 0.875
    assert sorted(set(moved.tolist())) == [0.5, 0.875]


def test_the_gate_is_the_last_output() -> None:
    assert GATE == len(CATEGORIES) == OUTPUTS - 1
