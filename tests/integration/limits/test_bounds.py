"""Two gateways and eight clients hammering a limit: what is let in stays within its bound, whatever befalls Valkey.

A limit of 6,000 a minute of which a hundredth may come at once (60, then 100 a second) behaves in seconds as one of 60
and its whole burst does in minutes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from chassis.errors import CapstanError
from chassis.testing import Running
from chassis.valkey import connect
from services.gateway.caller import Caller, Limit
from services.gateway.standings import RateLimited
from tests.integration.limits.gateways import UNHURRIED_S, Gateway, caller, gateway
from tests.store_process import StoreProcess

RATE_S, BURST = 100, 60
WHO = caller(Limit("organization", "", RATE_S * 60, None, burst_percent=1))


class Crowd:
    """Clients that never stop asking, through all gateways."""

    def __init__(self, gateways: list[Gateway], who: Caller = WHO, tokens: int = 1) -> None:
        self.gateways = gateways
        self.admitted = 0
        self.refused = 0
        self._who = who
        self._tokens = tokens
        self._begun = time.monotonic()
        self._doubled_s = 0.0

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begun

    def bound(self, bursts: int = 1) -> float:
        """What may have been admitted by now; time in which some went by their own meters and some not counts twice."""
        return bursts * BURST + RATE_S * (self.elapsed_s + self._doubled_s) + 1

    async def live(self, one: Gateway) -> None:
        while True:
            try:
                name, _ = await one.reserve(self._who, self._tokens)
            except RateLimited:
                self.refused += 1
            else:
                self.admitted += 1
                with suppress(CapstanError):  # a gateway would try again
                    await one.end(name, self._tokens)
            await asyncio.sleep(0.002)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait while everybody asks."""
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.01)

    async def until_all(self, *, away: bool) -> None:
        """Wait until all gateways go by their own meters, or none."""
        await self.until(lambda: any(one.limiter.is_away == away for one in self.gateways))
        begun = time.monotonic()
        await self.until(lambda: all(one.limiter.is_away == away for one in self.gateways))
        self._doubled_s += time.monotonic() - begun + 0.1

    async def goes_on(self) -> None:
        """Wait until as many again were let in as come at once."""
        goal = self.admitted + BURST
        await self.until(lambda: self.admitted >= goal)


@asynccontextmanager
async def crowd(gateways: list[Gateway], clients: int = 8) -> AsyncIterator[Crowd]:
    made = Crowd(gateways)
    tasks = [asyncio.create_task(made.live(one)) for one in gateways for _ in range(clients // len(gateways))]
    try:
        yield made
        assert not any(task.done() for task in tasks), "nobody hears of it but by a refusal"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def gateways(service: Running) -> AsyncIterator[list[Gateway]]:
    async with gateway(service.address, "gateway-1") as first, gateway(service.address, "gateway-2") as second:
        for one in (first, second, first):
            await one.limiter._beat()  # they have counted each other
        assert first.limiter._presence.gateways == second.limiter._presence.gateways == 2
        yield [first, second]


def calls(service: Running) -> float:
    """Calls of Reserve that came to the service."""
    handled = [
        sample.value
        for family in service.kit.registry.collect()
        for sample in family.samples
        if sample.name == "capstan_rpc_server_handled_total" and "Reserve" in sample.labels["method"]
    ]
    assert handled
    return sum(handled)


async def test_two_gateways_admit_what_one_limit_allows(gateways: list[Gateway]) -> None:
    async with crowd(gateways) as clients:
        await clients.until(lambda: clients.elapsed_s > 2)
        assert BURST <= clients.admitted <= clients.bound()
        assert clients.refused > 0


async def test_across_a_restart_of_an_empty_valkey_a_burst_more_is_let_in_and_not_two(
    gateways: list[Gateway], server: StoreProcess
) -> None:
    async with crowd(gateways) as clients:
        await clients.goes_on()
        server.kill()
        await clients.until_all(away=True)
        await clients.goes_on()
        server.start()
        await clients.until_all(away=False)
        # What Valkey forgot, and the rates of both kinds while only one gateway was back.
        assert clients.admitted <= clients.bound(bursts=2)
        before, since = clients.admitted, clients.elapsed_s
        await clients.goes_on()
        assert clients.admitted - before <= BURST + RATE_S * (clients.elapsed_s - since) + 1


async def test_a_frozen_valkey_costs_three_calls_of_each_gateway_and_then_none(
    gateways: list[Gateway], server: StoreProcess, service: Running
) -> None:
    async with crowd(gateways) as clients:
        await clients.goes_on()
        server.freeze()
        try:
            await clients.until_all(away=True)
            asked = calls(service)
            await clients.goes_on()
            assert calls(service) <= asked + len(gateways)  # one of each may have been on its way
            assert sum(one.count("limits_alone", outcome="refused") for one in gateways) > 0
        finally:
            server.thaw()
        await clients.until_all(away=False)
        await clients.goes_on()
        assert clients.admitted <= clients.bound(bursts=2)


async def test_a_valkey_without_memory_is_as_good_as_away(gateways: list[Gateway], server: StoreProcess) -> None:
    async with connect(server.store.url, timeout_s=UNHURRIED_S) as valkey, crowd(gateways) as clients:
        await clients.goes_on()
        await valkey.command("CONFIG", "SET", "maxmemory", "1")
        await clients.until_all(away=True)
        await clients.goes_on()
        await valkey.command("CONFIG", "SET", "maxmemory", "0")
        await clients.until_all(away=False)
        assert clients.admitted <= clients.bound(bursts=2)


async def test_one_gateway_that_is_cut_off_takes_no_more_than_its_share(service: Running, server: StoreProcess) -> None:
    async with gateway(service.address, "gateway-1") as near, gateway("unix:/nowhere", "gateway-2") as cut:
        cut.limiter._presence.gateways = 2  # as they were counted before it was cut off
        async with crowd([near, cut]) as clients:
            await clients.until(lambda: cut.limiter.is_away)
            await clients.until(lambda: clients.elapsed_s > 2)
            assert clients.admitted <= 1.5 * clients.bound()
            assert cut.count("limits_alone", outcome="reserved") > 0


async def test_what_was_let_in_alone_is_known_when_ratelimit_is_back(service: Running, server: StoreProcess) -> None:
    who = caller(Limit("key", "", 6, None, 1000, None, 2))
    server.kill()
    async with gateway(service.address) as one:
        async with asyncio.timeout(30):
            while not one.limiter.is_away:
                await asyncio.sleep(0.01)
        names = [(await one.reserve(who))[0] for _ in range(2)]
        with pytest.raises(RateLimited) as refused:
            await one.reserve(who)
        assert refused.value.error.metadata["dimension"] == "concurrent_requests"
        server.start()
        async with asyncio.timeout(30):
            while one.limiter.is_away:
                await asyncio.sleep(0.01)
        assert server.store.ask("ZCARD {rl:org-1}:running:key_1:m") == ":2"
        with pytest.raises(RateLimited) as refused:
            await one.reserve(who)
        assert refused.value.error.metadata["dimension"] == "concurrent_requests"
        assert min(meter.remaining for meter in refused.value.meters if meter.limit == 6) <= 5
        assert [meter.remaining for meter in refused.value.meters if meter.limit == 1000] == [998]
        for name in names:
            await one.end(name, 0)
        assert server.store.ask("ZCARD {rl:org-1}:running:key_1:m") == ":0"
