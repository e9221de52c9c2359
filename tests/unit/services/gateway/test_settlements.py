"""Money comes to a budget's meter by its settlement or by billing, and never by both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chassis.clock import ManualClock
from chassis.errors import unavailable
from services.gateway.peers.ratelimit import Settlement
from services.gateway.settlements import LINGER_S, Settlements


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
        settlements.put(PAID)
        telling = asyncio.create_task(settlements.told(["req_1", "req_other"], 30))
        await asyncio.sleep(0)
        assert not telling.done()
        await clock.advance(LINGER_S)
        await telling
        assert ratelimit.taken == [PAID]


async def test_what_has_not_arrived_in_time_goes_on_without_its_money() -> None:
    async with settling() as (settlements, ratelimit, clock):
        ratelimit.away = True
        settlements.put(PAID)
        await clock.advance(LINGER_S)
        await settlements.told(["req_1"], 0)
        ratelimit.away = False
        await clock.advance(1)
        assert ratelimit.taken == [Settlement("req_1", "org-1", 10, 0)]


async def test_nobody_waits_for_what_costs_nothing_or_is_left_to_billing_already() -> None:
    async with settling() as (settlements, _, _), asyncio.timeout(10):
        settlements.put(Settlement("req_0", "org-1", 10))
        await settlements.told(["req_0"], 30)
        settlements.put(PAID)
        await settlements.told(["req_1"], 0)
        await settlements.told(["req_1"], 30)
