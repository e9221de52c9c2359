"""Settlements on their way to ratelimit, and which of them leave their money to billing.

Money reaches a budget's meter once: with the settlement of its request or, where billing posted it first, by the floor
that the meter is raised to. Both would count it twice. So before billing is told of a request its settlement is waited
for, for a moment; one that still has not arrived goes on without its money.
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


class Settlements:
    """`run` is to run in the background."""

    def __init__(
        self, settle: Callable[[Sequence[Settlement]], Awaitable[object]], clock: Clock, log: logging.Logger
    ) -> None:
        self._settle = settle
        self._outbox: Outbox[Settlement] = Outbox(
            "settlements", self._send, clock, log, capacity=CAPACITY, linger_s=LINGER_S
        )
        self._owing: dict[str, bool] = {}
        """Requests whose money has not arrived; True: it is left to billing."""
        self._arrived = asyncio.Event()

    def put(self, settlement: Settlement) -> None:
        """Settle a request soon."""
        if settlement.amount_nanousd:
            self._owing[settlement.request_id] = False
            if len(self._owing) > CAPACITY:  # the outbox has dropped as many
                del self._owing[next(iter(self._owing))]
        self._outbox.put(settlement)

    async def told(self, request_ids: Collection[str], within_s: float) -> None:
        """Return when billing may be told of these requests, after `within_s` at the latest."""
        try:
            async with asyncio.timeout(within_s):
                while any(self._owing.get(one) is False for one in request_ids):
                    await self._arrived.wait()
        except TimeoutError:
            for one in request_ids:
                if one in self._owing:
                    self._owing[one] = True

    async def run(self) -> None:
        """Settle what comes. Never returns."""
        await self._outbox.run()

    async def drained(self, within_s: float) -> bool:
        """Wait until everything was settled, at most `within_s`; answer whether it was. From now on nothing lingers."""
        return await self._outbox.drained(within_s)

    async def _send(self, some: Sequence[Settlement]) -> None:
        await self._settle(
            [dataclasses.replace(one, amount_nanousd=0) if self._owing.get(one.request_id) else one for one in some]
        )
        for one in some:
            self._owing.pop(one.request_id, None)
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()
