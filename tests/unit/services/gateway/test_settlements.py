"""Money comes to a budget's meter by its settlement or by billing, and never by both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chassis.clock import ManualClock
from chassis.errors import unavailable
from services.gateway.peers.ratelimit import Settlement
from services.gateway.settlements import PATIENCE_S, Settlements


class Ratelimit:
    """Takes settlements, or is away."""

    def __init__(self) -> None:
        self.taken: list[Settlement] = []
        self.away = False

    async def settle(self, some: Sequence[Settlement]) -> None:
        if self.away:
            raise unavailable("ratelimit")
        self.taken += some


@asynccontextmanager
async def settling() -> AsyncIterator[tuple[Settlements, Ratelimit, ManualClock]]:
    clock, ratelimit = ManualClock(), Ratelimit()
    settlements = Settlements(ratelimit.settle, clock, logging.getLogger("test"))
    task = asyncio.create_task(settlements.run())
    try:
        yield settlements, ratelimit, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


PAID = Settlement("req_1", "org-1", 10, 700)


async def test_billing_waits_until_a_settlement_has_arrived() -> None:
    async with settling() as (settlements, ratelimit, clock):
        ratelimit.away = True
        settlements.put(PAID)
        telling = asyncio.create_task(settlements.told(["req_1", "req_other"]))
        await clock.advance(PATIENCE_S / 2)
        assert not telling.done()
        ratelimit.away = False
        await clock.advance(6)
        await telling
        assert ratelimit.taken == [PAID]


async def test_what_has_not_arrived_for_a_minute_goes_on_without_its_money() -> None:
    async with settling() as (settlements, ratelimit, clock):
        ratelimit.away = True
        settlements.put(PAID)
        telling = asyncio.create_task(settlements.told(["req_1"]))
        await clock.advance(PATIENCE_S - 1)
        assert not telling.done()
        await clock.advance(2)
        await telling
        await settlements.told(["req_1"])  # again, because billing was away: nobody waits a second time
        ratelimit.away = False
        await clock.advance(6)
        assert ratelimit.taken == [Settlement("req_1", "org-1", 10, 0)]


async def test_nobody_waits_for_what_costs_nothing() -> None:
    async with settling() as (settlements, _, _), asyncio.timeout(10):
        settlements.put(Settlement("req_0", "org-1", 10))
        await settlements.told(["req_0"])
