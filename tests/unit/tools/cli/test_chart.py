"""Bars that fit, also where there is little room and no blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tools.cli.chart import EIGHTHS, NARROWEST_BAR, bar, chart, has_blocks

DAYS = [("Mon", 0, "0"), ("Tue", 1, "1"), ("Wed", 1000, "1,000")]


def test_the_largest_fills_the_room_and_whatever_is_not_zero_is_seen() -> None:
    assert chart(DAYS, 32, blocks=True) == [
        "Mon      0",
        "Tue      1  ▏",
        "Wed  1,000  ████████████████████",
    ]


def test_a_terminal_without_blocks_gets_ascii() -> None:
    assert chart(DAYS, 22, blocks=False) == ["Mon      0", "Tue      1  #", "Wed  1,000  ##########"]


def test_a_narrow_terminal_gets_the_numbers_alone() -> None:
    assert chart(DAYS, 15, blocks=True) == ["Mon      0", "Tue      1", "Wed  1,000"]


def test_nothing_is_no_chart() -> None:
    assert chart([], 80, blocks=True) == []
    assert chart([("Mon", 0, "0")], 80, blocks=True) == ["Mon  0"]


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(NARROWEST_BAR, 200), st.booleans())
def test_a_bar_is_never_longer_than_its_room(value: int, more: int, columns: int, blocks: bool) -> None:
    drawn = bar(value, value + more, columns, blocks=blocks)
    assert len(drawn) <= columns
    assert bool(drawn) == (value > 0)
    if value and not more:
        assert drawn == (EIGHTHS[-1] if blocks else "#") * columns


@given(st.lists(st.tuples(st.text("ab", max_size=5), st.integers(0, 99), st.text("0", max_size=9))), st.integers(0, 99))
def test_no_line_is_wider_than_the_terminal_unless_its_words_are(lines: list[tuple[str, int, str]], width: int) -> None:
    words = (
        max((len(label) for label, _, _ in lines), default=0) + max((len(text) for *_, text in lines), default=0) + 2
    )
    assert all(len(line) <= max(width, words) for line in chart(lines, width, blocks=True))


def test_blocks_are_drawn_where_the_output_can_hold_them() -> None:
    assert has_blocks("utf-8")
    assert not has_blocks("ascii")
    assert not has_blocks("latin-1")
    assert not has_blocks(None)
    assert not has_blocks("no such encoding")
