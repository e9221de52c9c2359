"""Dollars in and out, to the last nano-dollar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.cli.money import cents, dollars, of_cents
from tools.local.problem import Problem


@pytest.mark.parametrize(
    ("nanousd", "expected"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (451_500, "$0.0004515"),
        (10**9, "$1.00"),
        (1_234_500_000_000, "$1,234.50"),
        (-5 * 10**8, "-$0.50"),
    ],
)
def test_an_amount_has_cents_and_as_much_more_as_there_is(nanousd: int, expected: str) -> None:
    assert dollars(nanousd) == expected


@pytest.mark.parametrize(("text", "expected"), [("5", 500), ("5.2", 520), ("$5.25", 525), ("0.01", 1), (" 12 ", 1200)])
def test_people_write_dollars(text: str, expected: int) -> None:
    assert cents(text) == expected


@pytest.mark.parametrize("text", ["", "five", "-1", "1.234", "1,000", "1e3", "1.", "٣", "9999999999"])
def test_anything_else_is_no_amount(text: str) -> None:
    with pytest.raises(Problem, match="no amount"):
        cents(text)


@given(st.integers(0, 10**9))
def test_cents_survive_the_way_there_and_back(amount: int) -> None:
    assert cents(of_cents(amount).replace(",", "")) == amount
