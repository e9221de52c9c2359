"""Settlements on their way to ratelimit, and which of them leave their money to billing.

Money reaches a budget's meter once: with the settlement of its request or, where billing posted it first, by the floor
that the meter is raised to. Both would count it twice. So billing is told of a request when its settlement has arrived;
one that has not for a minute goes on without its money.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from chassis.clock import Clock
from chassis.outbox import Outbox
from services.gateway.peers.ratelimit import Settlement

LINGER_S = 0.02
"""How long a settlement waits for others to leave with. A meter is that much late."""

CAPACITY = 50_000

PATIENCE_S = 60.0
"""How long billing waits for a settlement. Nobody else does, and while ratelimit is away nothing hard is let in."""


class Settlements:
    """`run` is to run in the background."""

    def __init__(
        self, settle: Callable[[Sequence[Settlement]], Awaitable[object]], clock: Clock, log: logging.Logger
    ) -> None:
        self._settle = settle
        self._clock = clock
        self._outbox: Outbox[Settlement] = Outbox(
            "settlements", self._send, clock, log, capacity=CAPACITY, linger_s=LINGER_S
        )
        self._owing: dict[str, float] = {}
        """Until when billing waits for requests whose money has not arrived; 0: it is left to billing."""
        self._arrived = asyncio.Event()

    def put(self, settlement: Settlement) -> None:
        """Settle a request soon."""
        if settlement.amount_nanousd:
            self._owing[settlement.request_id] = self._clock.monotonic() + PATIENCE_S
            if len(self._owing) > CAPACITY:  # the outbox has dropped as many
                del self._owing[next(iter(self._owing))]
        self._outbox.put(settlement)

    async def told(self, request_ids: Collection[str]) -> None:
        """Return when billing may be told of these requests."""
        while waiting := [until for one in request_ids if (until := self._owing.get(one, 0.0))]:
            left_s = max(waiting) - self._clock.monotonic()
            if left_s <= 0:
                self._owing |= {one: 0.0 for one in request_ids if one in self._owing}
                return
            arrived = asyncio.ensure_future(self._arrived.wait())
            patience = asyncio.ensure_future(self._clock.sleep(left_s))
            try:
                await asyncio.wait([arrived, patience], return_when=asyncio.FIRST_COMPLETED)
            finally:
                arrived.cancel()
                patience.cancel()

    async def run(self) -> None:
        """Settle what comes. Never returns."""
        await self._outbox.run()

    async def drained(self, within_s: float) -> bool:
        """Wait until everything was settled, at most `within_s`; answer whether it was. From now on nothing lingers."""
        return await self._outbox.drained(within_s)

    async def _send(self, some: Sequence[Settlement]) -> None:
        await self._settle(
            [
                dataclasses.replace(one, amount_nanousd=0) if self._owing.get(one.request_id) == 0 else one
                for one in some
            ]
        )
        for one in some:
            self._owing.pop(one.request_id, None)
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()
