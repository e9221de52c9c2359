"""Budgets hold: whoever asks at once, whatever is lost; and what nobody knows is not spent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason, unavailable
from chassis.testing import Running
from services.gateway.caller import Limit
from services.gateway.charges import Budget
from services.gateway.exposure import Exposure, Trust
from services.gateway.peers.ratelimit import Settlement
from services.gateway.standings import RateLimited
from tests.integration.limits.gateways import ORGANIZATION, Gateway, caller, gateway
from tests.store_process import StoreProcess

NOBODY = caller()


class Books:
    """What billing has posted. It can be away."""

    def __init__(self) -> None:
        self.posted: Counter[str] = Counter()
        self.asked: list[tuple[str, str]] = []
        self.away = False

    async def seed(self, subject_id: str, period_id: str) -> int:
        self.asked.append((subject_id, period_id))
        await asyncio.sleep(0)
        if self.away:
            raise unavailable("billing")
        return self.posted[subject_id]


def budget(cap: int, amount: int, subject: str = "org-1", **more: Any) -> Budget:
    kind = "project" if subject.startswith("proj") else "organization"
    return Budget(subject, "2026-11", kind, cap, amount, **more)


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def one(service: Running, books: Books) -> AsyncIterator[Gateway]:
    async with gateway(service.address, seed=books.seed, attended=False) as made:
        yield made


async def test_billing_is_asked_once_however_many_spend_first(one: Gateway, books: Books) -> None:
    books.posted.update({"org-1": 400, "proj_1": 10})
    both = budget(1000, 100), budget(500, 100, "proj_1")
    results = await asyncio.gather(*(one.reserve(NOBODY, 1, *both) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, RateLimited) for result in results) == 4  # of the project 490 were left
    assert sorted(books.asked) == [("org-1", "2026-11"), ("proj_1", "2026-11")]


async def test_what_does_not_fit_names_its_budget_and_holds_nothing(one: Gateway) -> None:
    with pytest.raises(RateLimited) as refused:
        await one.reserve(caller(Limit("key", "", 10, None, count_rejected=False)), 1, budget(1000, 1001))
    assert refused.value.error.reason is Reason.QUOTA_EXHAUSTED
    assert refused.value.error.metadata == {"budget": "organization"}
    assert [(meter.dimension, meter.remaining) for meter in refused.value.meters] == [("requests", 10)]
    await one.reserve(NOBODY, 1, budget(1000, 1000))


async def test_a_settlement_replaces_the_hold_by_what_was_spent(one: Gateway) -> None:
    name, _ = await one.reserve(NOBODY, 1, budget(1000, 900))
    await one.end(name, 1, amount_nanousd=300)
    await one.reserve(NOBODY, 1, budget(1000, 700))
    with pytest.raises(RateLimited):
        await one.reserve(NOBODY, 1, budget(1000, 1))


async def test_what_was_asked_of_a_frozen_store_is_given_back(one: Gateway, server: StoreProcess) -> None:
    await one.reserve(NOBODY, 1, budget(1000, 50))
    server.freeze()
    try:
        with pytest.raises(CapstanError) as caught:
            await one.reserve(NOBODY, 1, budget(1000, 900), name="req_late")
        assert caught.value.reason is Reason.BUDGET_UNKNOWN
    finally:
        server.thaw()
    told = one.limiter.ended(Settlement("req_late", ORGANIZATION, 0))
    assert told is not None
    async with asyncio.timeout(10):
        while True:
            with suppress(CapstanError):
                await one.limiter.settle([told])
                break
            await asyncio.sleep(0.01)
    one.limiter._presence.back()
    await one.reserve(NOBODY, 1, budget(1000, 900))


async def test_sixteen_clients_of_two_gateways_never_exceed_a_cap(service: Running, books: Books) -> None:
    cap, hold, cost = 10**9, 10**7, 9 * 10**6
    async with gateway(service.address, "a", seed=books.seed) as a, gateway(service.address, "b", seed=books.seed) as b:

        async def spend(one: Gateway) -> None:
            for _ in range(20):
                try:
                    name, _ = await one.reserve(NOBODY, 1, budget(cap, hold))
                except RateLimited:
                    return
                books.posted["org-1"] += cost
                await one.end(name, 1, amount_nanousd=cost)

        await asyncio.gather(*(spend(one) for one in (a, b) for _ in range(8)))
        assert cap - 16 * hold < books.posted["org-1"] <= cap


async def test_after_valkey_was_lost_what_runs_is_held_again_before_anything_is_let_in(
    one: Gateway, books: Books, server: StoreProcess
) -> None:
    name, _ = await one.reserve(NOBODY, 1, budget(1000, 600))
    books.posted["org-1"] = 100
    server.kill()
    server.start()
    async with asyncio.timeout(10):
        while True:
            try:
                await one.reserve(NOBODY, 1, budget(1000, 301))
            except RateLimited:
                break
            except CapstanError as error:  # it is not found again at once
                if error.reason is not Reason.BUDGET_UNKNOWN:
                    raise
                one.limiter._presence.back()
            await asyncio.sleep(0.01)
    await one.reserve(NOBODY, 1, budget(1000, 300))
    await one.end(name, 1, amount_nanousd=500)
    await one.reserve(NOBODY, 1, budget(1000, 100))


async def test_nothing_is_spent_while_nobody_knows_what_was(one: Gateway, books: Books, server: StoreProcess) -> None:
    books.away = True
    with pytest.raises(CapstanError) as caught:
        await one.reserve(NOBODY, 1, budget(1000, 1))
    assert caught.value.reason is Reason.BUDGET_UNKNOWN
    books.away = False
    await one.reserve(NOBODY, 1, budget(1000, 1))
    server.kill()
    limited = caller(Limit("key", "", 10, None))
    for _ in range(5):
        with pytest.raises(CapstanError) as caught:
            await one.reserve(limited, 1, budget(1000, 1))
        assert caught.value.reason is Reason.BUDGET_UNKNOWN
    assert one.count("limits_alone", outcome="closed") == 5
    await one.reserve(limited, 1, budget(1000, 1, soft=True))


async def test_a_soft_limit_needs_no_books_and_refuses_nothing(one: Gateway, books: Books) -> None:
    books.away = True
    for _ in range(3):
        await one.reserve(NOBODY, 1, budget(1000, 600, soft=True))
    assert books.asked == []


async def test_what_runs_is_renewed_and_reserved_again_when_lost(service: Running, server: StoreProcess) -> None:
    clock, who = ManualClock(), caller(Limit("key", "", None, 10_000, None, 100_000, 1))
    async with gateway(service.address, clock=clock, attended=False) as one:
        name, _ = await one.reserve(who, 100)
        one.limiter.follow(name, lambda: 700)
        keeping = asyncio.create_task(one.limiter.keep())
        server.kill()
        server.start()
        async with asyncio.timeout(20):
            while server.store.ask("EXISTS {rl:org-1}:running:key_1:m") != ":1":
                await clock.advance(10)
                await asyncio.sleep(0.01)
        with pytest.raises(RateLimited) as refused:
            await one.reserve(who, 100)
        assert refused.value.error.metadata["dimension"] == "concurrent_requests"
        async with asyncio.timeout(20):
            while not any(meter.limit == 100_000 and meter.remaining <= 99_300 for meter in refused.value.meters):
                await clock.advance(10)
                with pytest.raises(RateLimited) as refused:
                    await one.reserve(who, 100)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await one.end(name, 800)
        await one.reserve(who, 100)


async def test_what_billing_posted_for_a_dead_gateway_counts_once(service: Running, one: Gateway, books: Books) -> None:
    """It is held while nobody knows, then it is posted, and what was held is free again: never neither, never both."""
    dead, _ = await one.reserve(NOBODY, 1, budget(1000, 500))
    async with gateway(service.address, "b", seed=books.seed, attended=False) as other:
        with pytest.raises(RateLimited):
            await other.reserve(NOBODY, 1, budget(1000, 501))
        books.posted["org-1"] = 200  # of the 500
        name, _ = await other.reserve(NOBODY, 1, budget(1000, 300, floor_nanousd=200))
        with pytest.raises(RateLimited):
            await other.reserve(NOBODY, 1, budget(1000, 1, floor_nanousd=200))
        await other.limiter.settle([Settlement(dead, ORGANIZATION, 1)])
        await other.end(name, 1, amount_nanousd=300)
        with pytest.raises(RateLimited):
            await other.reserve(NOBODY, 1, budget(1000, 501, floor_nanousd=200))
        await other.reserve(NOBODY, 1, budget(1000, 500, floor_nanousd=200))


async def test_what_was_used_while_nothing_bound_it_counts_when_something_does_again(one: Gateway) -> None:
    name, _ = await one.reserve(NOBODY, 1, budget(1000, 100))
    await one.end(name, 1, amount_nanousd=100)
    name, _ = await one.reserve(NOBODY, 1)
    await one.end(name, 1, amount_nanousd=700)
    with pytest.raises(RateLimited):
        await one.reserve(NOBODY, 1, budget(1000, 201, floor_nanousd=800))


async def test_soft_limits_are_served_on_trust_while_ratelimit_is_away_up_to_what_billing_said(
    service: Running, server: StoreProcess
) -> None:
    trust, returned = Trust(), asyncio.Event()
    trust.told(ORGANIZATION, "proj_1", 1000, bound=False)
    async with gateway(service.address, exposure=Exposure(trust), returned=returned.set) as one:
        server.kill()
        async with asyncio.timeout(20):
            while not one.limiter.is_away:
                await asyncio.sleep(0.01)
        returned.clear()
        name, _ = await one.reserve(NOBODY, 1, budget(10**6, 900, soft=True))
        with pytest.raises(CapstanError) as refused:
            await one.reserve(NOBODY, 1, budget(10**6, 200, soft=True))
        assert refused.value.reason is Reason.BUDGET_UNKNOWN
        await one.end(name, 1, amount_nanousd=50)  # it cost less than it might have
        await one.reserve(NOBODY, 1, budget(10**6, 950, soft=True))
        with pytest.raises(CapstanError):
            await one.reserve(NOBODY, 1, budget(10**6, 1, soft=True))
        server.start()
        async with asyncio.timeout(20):
            await returned.wait()
            while one.limiter.is_away:
                await asyncio.sleep(0.01)
        await one.reserve(NOBODY, 1, budget(10**6, 900, soft=True))
