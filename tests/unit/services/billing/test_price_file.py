"""The price book's file is read strictly, and what was published cannot be changed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.billing.price_file import PriceFileError, check_history, parse
from services.billing.pricing import Price, PriceBook
from services.billing.settings import PACKAGED_PRICE_BOOK

RATES = {"input_picousd": 150000, "cached_input_picousd": 75000, "output_picousd": 600000}


def version(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {"version": number, "effective_time": "2026-01-01T00:00:00Z", "prices": {"*": RATES}} | changes


def read(*versions: dict[str, Any]) -> list[Price]:
    return parse(json.dumps({"versions": versions}))


def test_the_packaged_book_prices_everything_since_long_ago() -> None:
    book = PriceBook(parse(PACKAGED_PRICE_BOOK.read_text()))
    assert book.at("whatever", datetime(2024, 1, 1, tzinfo=UTC)).version == 1


def test_a_file_becomes_prices() -> None:
    (price,) = read(version())
    assert price == Price(1, "*", datetime(2026, 1, 1, tzinfo=UTC), 150000, 75000, 600000)


def test_an_offset_is_the_same_instant() -> None:
    (price,) = read(version(effective_time="2026-01-01T02:00:00+02:00"))
    assert price.effective_time == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        version(prices={"*": RATES | {"input_picousd": 1.5}}),
        version(prices={"*": RATES | {"input_picousd": True}}),
        version(prices={"*": RATES | {"input_picousd": -1}}),
        version(prices={"*": RATES | {"inputpicousd": 1}}),
        version(prices={"*": {"input_picousd": 1}}),
        version(prices={"": RATES}),
        version(prices={}),
        version(effective_time="2026-01-01T00:00:00"),
        version(number=0),
        version(currency="USD"),
    ],
)
def test_anything_but_a_price_book_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PriceFileError):
        read(wrong)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"versions": []}'])
def test_an_empty_file_is_refused(text: str) -> None:
    with pytest.raises(PriceFileError):
        parse(text)


@pytest.mark.parametrize("numbers", [(1, 1), (2, 1)])
def test_versions_are_numbered_upwards(numbers: tuple[int, int]) -> None:
    with pytest.raises(PriceFileError, match="upwards"):
        read(*(version(number) for number in numbers))


def test_only_what_is_new_is_published() -> None:
    old = read(version(1))
    both = read(version(1), version(2))
    assert check_history([], both) == both
    assert check_history(old, both) == both[1:]
    assert check_history(both, both) == []


def test_a_published_version_cannot_change() -> None:
    old = read(version(1))
    for changed in (
        version(1, prices={"*": RATES | {"output_picousd": 1}}),
        version(1, prices={"*": RATES, "a": RATES}),
        version(1, effective_time="2026-01-01T00:00:01Z"),
    ):
        with pytest.raises(PriceFileError, match="new version"):
            check_history(old, read(changed))


def test_a_version_left_out_of_the_file_stays_published() -> None:
    both = read(version(1), version(2, effective_time=(datetime.now(UTC) + timedelta(1)).isoformat()))
    assert check_history(both, both[1:]) == []
