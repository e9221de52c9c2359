"""The gateway's arithmetic is billing's, and what it holds is never less than what billing charges."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.billing import pricing
from services.billing.events import Endpoint, Outcome, UsageEvent
from services.gateway.deltas import Usage
from services.gateway.money import Price, most_prompt_tokens, price_of

PICOUSD = st.integers(0, 10**9)
PERMILLES = st.integers(0, 3000)
COUNTS = st.integers(0, 200_000)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@given(
    rates=st.tuples(PICOUSD, PICOUSD, PICOUSD, PERMILLES),
    flex=PERMILLES,
    prompt=COUNTS,
    cached=COUNTS,
    completion=COUNTS,
    batch=st.booleans(),
    tier=st.sampled_from(["default", "flex"]),
    slack=st.integers(0, 100),
)
def test_it_charges_what_billing_charges_and_holds_no_less(
    rates: tuple[int, int, int, int],
    flex: int,
    prompt: int,
    cached: int,
    completion: int,
    batch: bool,
    tier: str,
    slack: int,
) -> None:
    cached = min(cached, prompt)
    mine = Price(1, *rates, {"flex": flex})
    theirs = pricing.Price(1, "*", NOON, *rates, (("flex", flex),))
    event = UsageEvent(
        "req_1",
        "org-1",
        "",
        "",
        "",
        "m",
        Endpoint.RESPONSES,
        Outcome.OK,
        NOON,
        NOON,
        prompt,
        cached,
        completion,
        0,
        False,
        batch,
        tier,
    )
    amount = mine.amount_nanousd(Usage(prompt, cached, completion, 0), batch=batch, tier=tier)
    assert amount == pricing.amount_nanousd(theirs, event)
    assert mine.most_nanousd(prompt + slack, completion + slack, batch=batch, tier=tier) >= amount


@given(
    name=st.sampled_from(["a", "ft:a:org::1", "ft:b:org::1", "ft:", "*", "c"]), known=st.sets(st.sampled_from("ab*"))
)
def test_it_finds_the_price_that_billing_finds(name: str, known: set[str]) -> None:
    mine = {model: Price(1, ord(model), 0, 0) for model in known}
    book = pricing.PriceBook(pricing.Price(1, model, NOON, ord(model), 0, 0) for model in known)
    found = price_of(mine, name)
    try:
        theirs = book.at(name, NOON).input_picousd
    except pricing.NoPriceError:
        assert found is None
    else:
        assert found is not None
        assert found.input_picousd == theirs


@given(texts=st.lists(st.text()), more=st.integers(0, 1000))
def test_no_vocabulary_makes_more_tokens_than_bytes(texts: list[str], more: int) -> None:
    characters = sum(map(len, texts)) + more
    bytes_at_most = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) + 4 * more
    assert most_prompt_tokens(texts, characters) >= bytes_at_most


def test_every_text_of_many_may_be_framed_by_tokens_of_its_own() -> None:
    assert most_prompt_tokens(["a"] * 2048, 2048) >= 3 * 2048
