"""Amounts are integers that follow from tokens, outcome and price, and from nothing else."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.events import Endpoint, Outcome, UsageEvent
from services.billing.pricing import (
    CHARGED,
    NoPriceError,
    Price,
    PriceBook,
    amount_nanousd,
    rounded_half_even,
)
from tests.unit.services.billing.events import NOON, event, events

PICOUSD = st.integers(0, 10**9)
PRICES = st.builds(
    Price,
    version=st.integers(1, 4),
    model=st.sampled_from(["*", "a", "b"]),
    effective_time=st.sampled_from([NOON + timedelta(hours=hour) for hour in range(4)]),
    input_picousd=PICOUSD,
    cached_input_picousd=PICOUSD,
    output_picousd=PICOUSD,
)


def price(version: int = 1, model: str = "*", at: datetime = NOON, rates: tuple[int, int, int] = (3, 2, 5)) -> Price:
    return Price(version, model, at, *rates)


def test_each_class_of_tokens_has_its_own_price() -> None:
    used = event(prompt_tokens=1_000_000, cached_prompt_tokens=400_000, completion_tokens=10_000)
    # 0.15, 0.075 and 0.60 USD per million: 0.09 + 0.03 + 0.006 USD
    assert amount_nanousd(price(rates=(150_000, 75_000, 600_000)), used) == 126_000_000


def test_reasoning_is_part_of_the_completion_and_not_charged_twice() -> None:
    rates = price(rates=(0, 0, 1000))
    assert amount_nanousd(rates, event(completion_tokens=20, reasoning_tokens=20)) == 20


@pytest.mark.parametrize(
    ("picousd", "nanousd"), [(0, 0), (499, 0), (500, 0), (501, 1), (1499, 1), (1500, 2), (2500, 2), (2501, 3)]
)
def test_halves_go_to_the_even_neighbour(picousd: int, nanousd: int) -> None:
    used = event(prompt_tokens=0, cached_prompt_tokens=0, completion_tokens=1, reasoning_tokens=0)
    assert amount_nanousd(price(rates=(0, 0, picousd)), used) == nanousd


def test_every_outcome_says_whether_it_is_charged() -> None:
    assert CHARGED.keys() == set(Outcome)


@pytest.mark.parametrize("outcome", [Outcome.ENGINE_ERROR, Outcome.SERVER_ERROR])
def test_our_own_faults_are_free(outcome: Outcome) -> None:
    assert amount_nanousd(price(rates=(10**9, 10**9, 10**9)), event(outcome=outcome)) == 0


def test_leaving_early_is_not_free() -> None:
    left = event(outcome=Outcome.CLIENT_CLOSED, completion_tokens=3, reasoning_tokens=0)
    assert amount_nanousd(price(rates=(1000, 1000, 1000)), left) == 103


@given(event=events(), rates=st.tuples(PICOUSD, PICOUSD, PICOUSD))
def test_an_amount_is_the_exact_price_rounded_once(event: UsageEvent, rates: tuple[int, int, int]) -> None:
    exact = Fraction(
        (event.prompt_tokens - event.cached_prompt_tokens) * rates[0]
        + event.cached_prompt_tokens * rates[1]
        + event.completion_tokens * rates[2],
        1000,
    )
    amount = amount_nanousd(price(rates=rates), event)
    assert isinstance(amount, int)
    assert amount == (round(exact) if CHARGED[event.outcome] else 0)  # round() of a Fraction is half-even


@given(value=st.integers(0, 10**30), unit=st.integers(1, 10**6))
def test_rounding_agrees_with_exact_fractions(value: int, unit: int) -> None:
    assert rounded_half_even(value, unit) == round(Fraction(value, unit))


def test_a_model_without_a_price_of_its_own_has_everybodys() -> None:
    book = PriceBook([price(model="*"), price(model="a", rates=(9, 9, 9))])
    assert book.at("a", NOON).input_picousd == 9
    assert book.at("b", NOON).model == "*"


def test_a_version_holds_from_its_effective_time_to_the_instant() -> None:
    book = PriceBook([price(1), price(2, at=NOON + timedelta(hours=1))])
    change = NOON + timedelta(hours=1)
    assert book.at("a", change - timedelta(microseconds=1)).version == 1
    assert book.at("a", change).version == 2
    assert book.at("a", change + timedelta(days=1000)).version == 2


def test_a_new_version_replaces_the_whole_book() -> None:
    book = PriceBook([price(1, "a"), price(2, "b", at=NOON + timedelta(hours=1))])
    with pytest.raises(NoPriceError, match="'a'"):
        book.at("a", NOON + timedelta(hours=2))


def test_before_the_first_version_there_is_no_price() -> None:
    with pytest.raises(NoPriceError):
        PriceBook([price()]).at("a", NOON - timedelta(microseconds=1))
    assert not PriceBook([])


@given(prices=st.lists(PRICES, unique_by=lambda p: (p.version, p.model)), hour=st.integers(-1, 5))
def test_the_price_in_force_is_the_latest_that_has_begun(prices: list[Price], hour: int) -> None:
    # Versions in a real book have one effective time each.
    begins = {p.version: p.effective_time for p in prices}
    prices = [Price(p.version, p.model, begins[p.version], 1, 1, 1) for p in prices]
    time = datetime(2026, 11, 22, 12, 30, tzinfo=UTC) + timedelta(hours=hour)
    begun = [p for p in prices if p.effective_time <= time]
    latest = max(((p.effective_time, p.version) for p in begun), default=None)
    in_force = {p.model: p for p in begun if (p.effective_time, p.version) == latest}
    assert {p.model: p for p in PriceBook(prices).in_force(time)} == in_force


@pytest.mark.parametrize(
    ("batch", "tier", "permille"),
    [(False, "default", 1000), (True, "default", 500), (False, "flex", 400), (True, "flex", 200), (True, "odd", 500)],
)
def test_batches_and_tiers_multiply(batch: bool, tier: str, permille: int) -> None:
    price = Price(1, "*", NOON, 1_000_000, 500_000, 2_000_000, 500, (("flex", 400),))
    used = event(prompt_tokens=100, cached_prompt_tokens=0, completion_tokens=50, batch=batch, service_tier=tier)
    assert amount_nanousd(price, used) == 200_000 * permille // 1000


def test_a_tuned_model_costs_what_its_base_does_unless_it_has_its_own_price() -> None:
    base, own = Price(1, "base", NOON, 1, 1, 1), Price(1, "ft:base:org::2", NOON, 2, 2, 2)
    book = PriceBook([base, own, Price(1, "*", NOON, 3, 3, 3)])
    assert book.at("ft:base:org::1", NOON) == base
    assert book.at("ft:base:org::2", NOON) == own
    assert book.at("ft:other:org::1", NOON).model == "*"
    assert book.at("ft:", NOON).model == "*"


def test_the_version_of_the_admission_holds_where_it_has_a_price() -> None:
    old, new = Price(1, "*", NOON, 1, 1, 1), Price(2, "a", NOON, 2, 2, 2)
    book = PriceBook([old, new])
    assert book.at("a", NOON) == new
    assert book.at("a", NOON, 1) == old
    assert PriceBook([old, Price(2, "*", NOON, 2, 2, 2)]).at("a", NOON, 9).version == 2
    with pytest.raises(NoPriceError):
        book.at("b", NOON, 2)


def test_a_verdict_is_free() -> None:
    assert amount_nanousd(Price(1, "*", NOON, 9, 9, 9), event(endpoint=Endpoint.MODERATIONS)) == 0
