"""Things said to a peer in the background: no request waits for them, and a burst leaves as one call."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from chassis.clock import Clock
from chassis.errors import CapstanError

Item = TypeVar("Item")


class Outbox(Generic[Item]):
    """Sends items in order, in batches, for ever. Items wait while the peer is away, at most `capacity` of them.

    What was put first waits `linger_s` for company.

    For what may be lost in a crash, as settlements of meters that drain and releases of placements that expire.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[Sequence[Item]], Awaitable[object]],
        clock: Clock,
        log: logging.Logger,
        *,
        capacity: int = 50_000,
        max_batch: int = 1000,
        linger_s: float = 0.0,
    ) -> None:
        self._name = name
        self._send = send
        self._clock = clock
        self._log = log
        self._items: deque[Item] = deque(maxlen=capacity)
        self._max_batch = max_batch
        self._linger_s = linger_s
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closing = asyncio.Event()
        self.dropped_count = 0
        """Items that found the outbox full and pushed out the oldest."""

    def put(self, item: Item) -> None:
        """Send `item` soon. When the outbox is full the oldest item is dropped."""
        self.dropped_count += len(self._items) == self._items.maxlen
        self._items.append(item)
        self._filled.set()
        self._empty.clear()

    async def run(self) -> None:
        """Send what comes. Meant to be a background task."""
        delay = 0.1
        while True:
            await self._filled.wait()
            if self._linger_s and not self._closing.is_set():
                # One call for what a moment brings, instead of one call each.
                await self._clock.sleep(self._linger_s)
            batch = [self._items.popleft() for _ in range(min(len(self._items), self._max_batch))]
            try:
                await self._send(batch)
                delay = 0.1
            except CapstanError as error:
                self._log.warning("%s: %d items wait: %s", self._name, len(batch) + len(self._items), error)
                self._items.extendleft(reversed(batch))
                await self._clock.sleep(delay)
                delay = min(delay * 2, 5.0)
            if not self._items:
                self._filled.clear()
                self._empty.set()

    async def drained(self, within_s: float) -> bool:
        """Wait until everything was sent, at most `within_s`; answer whether it was. From now on nothing lingers."""
        self._closing.set()
        try:
            async with asyncio.timeout(within_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
