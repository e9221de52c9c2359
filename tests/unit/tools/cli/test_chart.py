"""Bars are as long as what they stand for."""

from hypothesis import given
from hypothesis import strategies as st

from tools.cli.chart import FULL, bars
from tools.cli.usage import dollars


def test_the_greatest_is_as_wide_as_allowed_and_half_is_half() -> None:
    assert bars([8, 4, 0, 1], 4) == [FULL * 4, FULL * 2, "", "▌"]


def test_nothing_at_all_is_no_bar() -> None:
    assert bars([], 10) == []
    assert bars([0, 0], 10) == ["", ""]


@given(st.lists(st.floats(0, 1e12), max_size=20), st.integers(1, 80))
def test_a_bar_fits_and_is_seen_when_there_is_something(values: list[float], width: int) -> None:
    for value, bar in zip(values, bars(values, width), strict=True):
        assert len(bar) <= width
        assert bool(bar) == (value > 0)


def test_amounts_are_written_to_the_millionth() -> None:
    assert dollars(1_234_567_890_000) == "1,234.567890"
