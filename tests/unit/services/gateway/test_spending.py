"""Budgets bind by what is known of them; what is not known is trusted only so far."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason, unavailable
from services.gateway.exposure import DEFAULT_EXPOSURE_NANOUSD, WRITE_INTERVAL_S, Exposure, Trust
from services.gateway.money import Price
from services.gateway.peers.treasury import Cap, PaymentTerms, Recovered
from services.gateway.remembered import Remembered
from services.gateway.spending import FRESH_S, LONGEST_ANSWER, USABLE_S, Size, Spending

NOVEMBER = 1_795_000_000.0
"""18 November 2026."""
OCTOBER, DECEMBER = (datetime(2026, month, 1, tzinfo=UTC).timestamp() for month in (10, 12))
PRICE = Price(7, 1_000_000, 500_000, 2_000_000)


class Billing:
    """Answers as its knobs say."""

    def __init__(self, *caps: Cap, prepaid: bool = False) -> None:
        self.told = PaymentTerms(caps, prepaid, 5 * 10**9)
        self.away = False
        self.asked = 0

    async def terms(self, organization_id: str, project_id: str) -> PaymentTerms:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise unavailable("billing")
        return self.told

    async def prices(self) -> dict[str, Price]:
        if self.away:
            raise unavailable("billing")
        return {"*": PRICE}

    async def posted(self, subject_id: str, period_id: str) -> int:
        return 5


def cap(**changes: Any) -> Cap:
    fields: dict[str, Any] = {
        "subject_id": "org-1",
        "kind": "organization",
        "period_id": "2026-11",
        "cap_nanousd": 10**9,
        "posted_nanousd": 0,
        "soft": False,
    }
    return Cap(**(fields | changes))


def size(**changes: Any) -> Size:
    fields: dict[str, Any] = {
        "prompt_tokens": 10,
        "texts": lambda: ["x" * 30],
        "completion_tokens": 50,
        "bounded": True,
        "answer_count": 1,
        "context_tokens": 2048,
    }
    return Size(**(fields | changes))


def spending(billing: Billing, trust: Trust | None = None, **options: Any) -> tuple[Spending, ManualClock]:
    clock = ManualClock(NOVEMBER)
    return Spending(billing, clock, trust or Trust(), **options), clock  # type: ignore[arg-type]  # what is asked of it is all there


async def quoted(spent: Spending, **changes: Any) -> Any:
    return await spent.quote("org-1", "proj_1", "m", size(**changes), NOVEMBER)


async def test_the_month_is_the_one_in_which_billing_posts_whatever_the_gateways_clock_says() -> None:
    billing = Billing(cap(period_id="2026-10", posted_nanousd=10**9))
    ahead, clock = spending(billing)
    billing.told = replace(billing.told, epoch_s=OCTOBER - clock.monotonic())
    with pytest.raises(CapstanError) as refused:
        await quoted(ahead)
    assert refused.value.reason is Reason.QUOTA_EXHAUSTED
    behind, clock = spending(billing)
    billing.told = replace(
        billing.told, caps=(cap(period_id="2026-12", posted_nanousd=7),), epoch_s=DECEMBER - clock.monotonic()
    )
    (held,) = (await quoted(behind)).budgets
    assert (held.period_id, held.floor_nanousd) == ("2026-12", 7)


async def test_a_clock_that_is_less_than_a_minute_off_is_believed_as_billing_believes_it() -> None:
    billing = Billing(cap(period_id="2026-12"))
    spent, clock = spending(billing)
    billing.told = replace(billing.told, epoch_s=DECEMBER - clock.monotonic())
    for start, month in ((DECEMBER - 59, "2026-11"), (DECEMBER - 61, "2026-12")):
        (held,) = (await spent.quote("org-1", "proj_1", "m", size(), start)).budgets
        assert held.period_id == month


async def test_without_budgets_nothing_is_held_and_the_price_is_fixed() -> None:
    spent, _ = spending(Billing())
    quote = await quoted(spent)
    assert (quote.budgets, quote.price) == ((), PRICE)


async def test_the_most_that_a_bounded_request_can_cost_is_held_of_every_budget() -> None:
    spent, _ = spending(Billing(cap(), cap(subject_id="proj_1", kind="project", soft=True)))
    quote = await quoted(spent)
    assert [(b.subject_id, b.period_id, b.soft) for b in quote.budgets] == [
        ("org-1", "2026-11", False),
        ("proj_1", "2026-11", True),
    ]
    assert {b.amount_nanousd for b in quote.budgets} == {(30 + 4 + 256) * 1000 + 50 * 2000}
    assert quote.most_completion_tokens is None


@pytest.mark.parametrize(("context_tokens", "most"), [(2048, 2048), (0, LONGEST_ANSWER)], ids=["known", "not known"])
async def test_an_unbounded_request_holds_as_much_for_each_answer_as_the_engine_is_told(
    context_tokens: int, most: int
) -> None:
    spent, _ = spending(Billing(cap()))
    quote = await quoted(spent, bounded=False, answer_count=3, context_tokens=context_tokens)
    assert quote.budgets[0].amount_nanousd == (30 + 4 + 256) * 1000 + 3 * most * 2000
    assert quote.most_completion_tokens == most


async def test_a_prompt_for_a_model_whose_context_is_not_known_is_held_by_its_bytes_however_long() -> None:
    spent, _ = spending(Billing(cap(cap_nanousd=10**15)))
    words = "a " * 2 * LONGEST_ANSWER
    quote = await quoted(spent, prompt_tokens=len(words) // 3, texts=lambda: [words], context_tokens=0)
    assert quote.budgets[0].amount_nanousd >= (len(words) + 4 + 256) * 1000 + 50 * 2000


async def test_a_cap_for_unbounded_requests_is_held_and_told_to_the_engine() -> None:
    spent, _ = spending(Billing(cap()), capped_completion_tokens=100)
    quote = await quoted(spent, bounded=False, answer_count=2)
    assert quote.budgets[0].amount_nanousd == (30 + 4 + 256) * 1000 + 2 * 100 * 2000
    assert quote.most_completion_tokens == 100


async def test_a_long_prompt_under_a_cap_still_gets_a_whole_answer() -> None:
    """Its tokens are a quarter of its bytes, so by them it would leave room for one token."""
    spent, _ = spending(Billing(cap()), capped_completion_tokens=100)
    quote = await quoted(spent, bounded=False, prompt_tokens=700, texts=lambda: ["x" * 2000])
    assert quote.most_completion_tokens == 100
    assert quote.budgets[0].amount_nanousd == 2048 * 1000 + 100 * 2000


async def test_each_of_several_prompts_may_fill_a_context() -> None:
    spent, _ = spending(Billing(cap()))
    many = ["x" * 1500] * 40
    quote = await quoted(spent, prompt_tokens=20_000, texts=lambda: many, completion_tokens=0, prompt_count=len(many))
    assert quote.budgets[0].amount_nanousd == (40 * (1500 + 4) + 256) * 1000


async def test_what_billing_knows_to_be_spent_is_refused_here() -> None:
    spent, _ = spending(Billing(cap(posted_nanousd=10**9, kind="project")))
    with pytest.raises(CapstanError) as refused:
        await quoted(spent)
    assert refused.value.reason is Reason.QUOTA_EXHAUSTED
    assert refused.value.metadata == {"budget": "project"}


async def test_a_new_month_is_a_new_budget_whatever_was_posted_to_the_old() -> None:
    spent, _ = spending(Billing(cap(posted_nanousd=10**9), cap(period_id="credit", kind="credit")))
    december = NOVEMBER + 20 * 86400
    quote = await spent.quote("org-1", "proj_1", "m", size(), december)
    assert [budget.period_id for budget in quote.budgets] == ["2026-12", "credit"]


async def test_whoever_billing_never_told_of_is_trusted_up_to_the_exposure() -> None:
    billing = Billing()
    billing.away = True
    spent, clock = spending(billing)
    for _ in range(DEFAULT_EXPOSURE_NANOUSD // (100_010 * 10_000)):
        await quoted(spent, completion_tokens=100_000)
    with pytest.raises(CapstanError) as refused:
        await quoted(spent, completion_tokens=100_000)
    assert refused.value.reason is Reason.BUDGET_UNKNOWN
    billing.away = False
    await clock.advance(2)
    assert (await quoted(spent)).price == PRICE


async def test_budgets_carry_what_billing_has_posted_of_their_own_period() -> None:
    spent, _ = spending(Billing(cap(posted_nanousd=7), cap(period_id="credit", kind="credit", posted_nanousd=9)))
    assert [budget.floor_nanousd for budget in (await quoted(spent)).budgets] == [7, 9]
    december = await spent.quote("org-1", "proj_1", "m", size(), NOVEMBER + 20 * 86400)
    assert [budget.floor_nanousd for budget in december.budgets] == [0, 9]


async def test_what_billing_recovered_is_named_until_it_was_settled() -> None:
    billing = Billing(cap())
    one, other = Recovered("req_1", 5), Recovered("req_2", 6)
    billing.told = PaymentTerms((cap(),), False, 0, (one, other))
    spent, _ = spending(billing)
    assert (await quoted(spent)).recovered == (one, other)
    spent.forget_recovered([one])
    assert (await quoted(spent)).recovered == (other,)


async def test_terms_that_are_doubted_are_asked_for_before_they_are_used() -> None:
    billing = Billing(cap())
    spent, _ = spending(billing)
    await quoted(spent)
    billing.told = PaymentTerms((), False, 0)
    spent.doubt()
    assert (await quoted(spent)).budgets == ()
    billing.away = True
    spent.doubt()
    assert (await quoted(spent)).budgets == ()  # the last word is better than none


@pytest.mark.parametrize(
    ("terms", "served"),
    [
        (PaymentTerms((), False, 2 * 10**9), 2),
        (PaymentTerms((), False, 0), 0),
        (PaymentTerms((), True, 5 * 10**9), 0),
        (PaymentTerms((cap(),), False, 5 * 10**9), 0),
        (PaymentTerms((cap(soft=True),), False, 3 * 10**9), 3),
    ],
    ids=["told", "nothing", "prepaid", "hard", "soft"],
)
async def test_a_gateway_that_starts_while_billing_is_away_trusts_as_far_as_billing_last_said(
    tmp_path: Path, terms: PaymentTerms, served: int
) -> None:
    billing, path = Billing(), tmp_path / "trust.json"
    billing.told = terms
    trust = Trust(path)
    spent, clock = spending(billing, trust)
    await quoted(spent)
    keeping = asyncio.create_task(trust.keep(clock, logging.getLogger("test")))
    await clock.advance(WRITE_INTERVAL_S + 1)
    async with asyncio.timeout(10):
        while not path.exists():
            await asyncio.sleep(0.01)
    keeping.cancel()
    billing.away = True
    again, _ = spending(billing, Trust(path))
    dollar = (10**9 - 10 * 10_000) // 10_000
    for _ in range(served):
        await quoted(again, completion_tokens=dollar)
    with pytest.raises(CapstanError) as refused:
        await quoted(again, completion_tokens=dollar)
    assert refused.value.reason is Reason.BUDGET_UNKNOWN


async def test_what_was_told_last_is_believed_while_billing_is_away() -> None:
    billing = Billing(cap())
    spent, clock = spending(billing)
    assert len((await quoted(spent)).budgets) == 1
    billing.away = True
    for _ in range(3):
        await clock.advance(USABLE_S)
        assert len((await quoted(spent)).budgets) == 1


async def test_terms_are_asked_for_once_however_many_wait_and_anew_when_they_age() -> None:
    billing = Billing(cap())
    spent, clock = spending(billing)
    await asyncio.gather(*(quoted(spent) for _ in range(50)))
    assert billing.asked == 1
    await clock.advance(FRESH_S)
    billing.told = PaymentTerms((), False, 0)
    assert len((await quoted(spent)).budgets) == 1  # nobody waits for the new answer
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (await quoted(spent)).budgets == ()
    assert billing.asked == 2


async def test_a_peer_that_failed_is_left_alone_for_a_while() -> None:
    asked = 0

    async def ask(_: str) -> int:
        nonlocal asked
        asked += 1
        raise unavailable("billing")

    clock = ManualClock()
    remembered: Remembered[str, int] = Remembered(ask, clock.monotonic, fresh_s=1, usable_s=2)
    for _ in range(5):
        with pytest.raises(CapstanError):
            await remembered.get("a")
    assert asked == 1
    await clock.advance(1.1)
    with pytest.raises(CapstanError):
        await remembered.get("b")
    assert asked == 2


def test_trust_that_cannot_be_read_is_as_good_as_none_and_the_default_needs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    for text in ("", "[]", "{", '{"org-1": "x"}'):
        path.write_text(text)
        assert Trust(path).of("org-1", "proj_1") == DEFAULT_EXPOSURE_NANOUSD
    trust = Trust()
    trust.told("org-1", "proj_1", 7, bound=True)
    assert (trust.of("org-1", "proj_1"), trust.of("org-1", "proj_2"), trust.of("org-2", "")) == (
        0,
        7,
        DEFAULT_EXPOSURE_NANOUSD,
    )
    trust.told("org-1", "proj_1", DEFAULT_EXPOSURE_NANOUSD, bound=False)
    assert trust.of("org-1", "proj_1") == DEFAULT_EXPOSURE_NANOUSD


def test_exposure_counts_what_was_spent_and_begins_anew_when_money_can_be_checked() -> None:
    trust = Trust()
    trust.told("org-1", "proj_1", 100, bound=False)
    exposure = Exposure(trust)
    exposure.add("org-1", "proj_1", 90)
    with pytest.raises(CapstanError):
        exposure.add("org-1", "proj_1", 20)
    exposure.correct("org-1", -50)
    exposure.add("org-1", "proj_1", 60)
    exposure.over("org-1")
    exposure.add("org-1", "proj_1", 100)
    exposure.over()
    exposure.add("org-1", "proj_1", 100)
