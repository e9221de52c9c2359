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

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begun

    def bound(self, bursts: int = 1, pause_s: float = 0.0) -> float:
        """What may have been admitted by now; `pause_s` counts twice, in which two meters drained for the same."""
        return bursts * BURST + RATE_S * (self.elapsed_s + pause_s) + 1

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
        assert 0.8 * RATE_S * 2 <= clients.admitted <= clients.bound()
        assert clients.refused > 0


async def test_across_a_restart_of_an_empty_valkey_a_burst_more_is_let_in_and_not_two(
    gateways: list[Gateway], server: StoreProcess
) -> None:
    async with crowd(gateways) as clients:
        await clients.goes_on()
        server.kill()
        await clients.until(lambda: all(one.limiter.is_away for one in gateways))
        await clients.goes_on()
        server.start()
        await clients.until(lambda: not any(one.limiter.is_away for one in gateways))
        # What Valkey forgot, and the rates of both kinds while only one gateway was back.
        assert clients.admitted <= clients.bound(bursts=2, pause_s=1.5)
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
            await clients.until(lambda: all(one.limiter.is_away for one in gateways))
            asked = calls(service)
            await clients.goes_on()
            assert calls(service) == asked
            assert sum(one.count("limits_alone", outcome="refused") for one in gateways) > 0
        finally:
            server.thaw()
        await clients.until(lambda: not any(one.limiter.is_away for one in gateways))
        await clients.goes_on()
        assert clients.admitted <= clients.bound(bursts=2, pause_s=1.5)


async def test_a_valkey_without_memory_is_as_good_as_away(gateways: list[Gateway], server: StoreProcess) -> None:
    async with connect(server.store.url, timeout_s=UNHURRIED_S) as valkey, crowd(gateways) as clients:
        await clients.goes_on()
        await valkey.command("CONFIG", "SET", "maxmemory", "1")
        await clients.until(lambda: all(one.limiter.is_away for one in gateways))
        await clients.goes_on()
        await valkey.command("CONFIG", "SET", "maxmemory", "0")
        await clients.until(lambda: not any(one.limiter.is_away for one in gateways))
        assert clients.admitted <= clients.bound(bursts=2, pause_s=1.5)


async def test_one_gateway_that_is_cut_off_takes_no_more_than_its_share(service: Running, server: StoreProcess) -> None:
    async with gateway(service.address, "gateway-1") as near, gateway("unix:/nowhere", "gateway-2") as cut:
        cut.limiter._presence.gateways = 2  # as they were counted before it was cut off
        async with crowd([near, cut]) as clients:
            await clients.until(lambda: cut.limiter.is_away)
            await clients.until(lambda: clients.elapsed_s > 2)
            assert clients.admitted <= 1.5 * clients.bound()
            assert near.count("limits_alone", outcome="reserved") == 0


async def test_a_limit_counts_its_gateways(service: Running, gateways: list[Gateway]) -> None:
    async with asyncio.timeout(10):
        while [one.limiter._presence.gateways for one in gateways] != [2, 2]:
            await asyncio.sleep(0.05)
