"""What clients are told of their limits is true: through the real scripts, with all clocks turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Reason
from services.gateway.caller import Caller, Limit
from services.gateway.limits_headers import Meter
from services.gateway.peers.ratelimit import Settlement
from services.gateway.standings import RateLimited
from tests.integration.limits.gateways import ORGANIZATION, Gateway, caller
from tests.integration.limits.played import Played, played


@pytest.fixture(scope="module")
def stage(valkey_url: str) -> Iterator[tuple[asyncio.Runner, Played]]:
    """A loop of its own, because Hypothesis calls plain functions many times."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        one = runner.run(stack.enter_async_context(played(valkey_url)))
        yield runner, one
        runner.run(stack.aclose())


bounds = st.one_of(st.none(), st.integers(1, 200))
limits = st.builds(
    Limit,
    scope=st.sampled_from(["key", "project", "organization"]),
    model=st.just(""),
    requests_per_minute=bounds,
    tokens_per_minute=st.one_of(st.none(), st.integers(1, 5000)),
    requests_per_day=bounds,
    tokens_per_day=st.one_of(st.none(), st.integers(1, 50_000)),
    concurrent_requests=st.one_of(st.none(), st.integers(2, 20)),
    shadow=st.sampled_from([False, False, False, True]),
    burst_percent=st.sampled_from([100, 100, 50, 10]),
    count_rejected=st.booleans(),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 3000)),
        st.tuples(st.just("wait"), st.integers(1, 90_000)),
        st.tuples(st.just("end"), st.integers(0, 3000)),
    ),
    min_size=1,
    max_size=30,
)


class Client:
    """Sends requests and holds what it is told against what it was told before."""

    def __init__(self, stage: Played, who: Caller) -> None:
        self.stage = stage
        self.who = who
        self.running: list[str] = []
        self._told: dict[tuple[str, int], int] = {}

    async def step(self, name: str, amount: int) -> None:
        if name == "wait":
            await self.stage.wait(amount)
            self._told.clear()
        elif name == "end" and self.running:
            await self.stage.gateways[0].end(self.running.pop(0), amount)
            self._told.clear()
        elif name == "reserve":
            await self.ask(amount)

    async def ask(self, tokens: int) -> None:
        try:
            await self._reserve(tokens)
        except RateLimited as refused:
            self._hear(refused.meters)
            if refused.error.reason is not Reason.RATE_LIMITED:
                return
            if refused.error.metadata["dimension"] == "concurrent_requests":
                return
            await self.stage.wait(int(refused.error.metadata["retry_after_ms"]))
            self._told.clear()
            await self._retried(tokens)

    async def _retried(self, tokens: int) -> None:
        """Who waited as long as was told is let in; only running requests nobody can foretell."""
        try:
            await self._reserve(tokens)
        except RateLimited as refused:
            if refused.error.metadata["dimension"] != "concurrent_requests":
                raise

    async def _reserve(self, tokens: int) -> None:
        name, meters = await self.stage.gateways[0].reserve(self.who, tokens)
        self.running.append(name)
        self._hear(meters)

    def _hear(self, meters: list[Meter]) -> None:
        for meter in meters:
            place = (meter.dimension, meter.limit)
            assert 0 <= meter.remaining <= meter.limit
            assert meter.reset_ms >= 0
        kinds = {(meter.dimension, meter.limit): meter.remaining for meter in meters}
        if len(kinds) < len(meters):
            return  # two limits of one size cannot be told apart here
        for place, remaining in kinds.items():
            assert remaining <= self._told.get(place, remaining), "more is left although nothing happened"
        self._told = kinds


@settings(max_examples=150)
@given(bound=st.lists(limits, min_size=1, max_size=3, unique_by=lambda limit: limit.scope), what=steps)
def test_remaining_never_rises_by_itself_and_who_waits_is_let_in(
    stage: tuple[asyncio.Runner, Played], bound: list[Limit], what: list[tuple[Any, ...]]
) -> None:
    runner, one = stage
    client = Client(one, caller(*bound))

    async def play() -> None:
        await one.begin()
        await one.wait(86_400_000)  # what earlier examples left in the gateway's memory is over
        for step in what:
            await client.step(*step)
        for name in client.running:
            await one.gateways[0].end(name, 0)

    runner.run(play())


async def test_a_client_paced_at_its_limit_is_never_refused(valkey_url: str) -> None:
    async with played(valkey_url) as one:
        await one.begin()
        who = caller(Limit("key", "", 60, 6000, burst_percent=2))
        for _ in range(600):  # ten minutes
            name, _ = await one.gateways[0].reserve(who, 100)
            await one.gateways[0].end(name, 100)
            await one.wait(1000)


async def test_eight_who_hammer_get_nearly_all_of_a_limit_and_never_more_by_two_gateways(
    valkey_url: str,
) -> None:
    rate, seconds, pause_ms = 120, 300, 100
    async with played(valkey_url, 2) as stage:
        await stage.begin()
        who, admitted = caller(Limit("key", "", rate, None, burst_percent=10)), 0

        async def ask(one: Gateway) -> int:
            try:
                name, _ = await one.reserve(who)
            except RateLimited:
                return 0
            one.limiter.ended(Settlement(name, ORGANIZATION, 0))
            return 1

        for step in range(seconds * 1000 // pause_ms):
            admitted += sum(await asyncio.gather(*(ask(one) for one in stage.gateways for _ in range(4))))
            assert admitted <= rate * 10 // 100 + rate * step * pause_ms / 60_000 + 1e-9
            await stage.wait(pause_ms)
        assert admitted >= 0.99 * rate * seconds / 60
        asked = 8 * seconds * 1000 // pause_ms
        assert sum(one.count("over_limit_hits") for one in stage.gateways) > 0.75 * asked


async def test_a_hot_offender_costs_no_call_and_hears_a_wait_that_shrinks(valkey_url: str) -> None:
    async with played(valkey_url) as one:
        await one.begin()
        who = caller(Limit("key", "", 1, None))
        await one.gateways[0].reserve(who)
        heard = []
        for _ in range(50):
            with pytest.raises(RateLimited) as refused:
                await one.gateways[0].reserve(who)
            heard.append(int(refused.value.error.metadata["retry_after_ms"]))
            assert [(meter.limit, meter.remaining) for meter in refused.value.meters] == [(1, 0)]
            await one.wait(1000)
        assert heard == list(range(heard[0], heard[0] - 50_000, -1000))
        assert one.calls == 1
