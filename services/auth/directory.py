"""Finds the rows of keys: in the cache, else in the database, one query at a time for all who wait.

A row that is no longer fresh is asked for again. If the database does not answer soon, the row is used for up to five
minutes; a key that was never seen is UNAVAILABLE then, because nobody knows whether it is good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chassis.clock import Clock
from chassis.coalesce import Coalescer
from chassis.errors import CapstanError
from services.auth.cache import Cache
from services.auth.metrics import Metrics
from services.auth.principals import KeyRow
from services.auth.store import Store

PATIENCE_S = 0.1
"""How long a caller with a usable stale row waits for a fresh one: well within the gateway's 300 ms."""

MOST_AT_ONCE = 250
"""Keys in one query: a row takes some ten index lookups, and a statement has a second."""

STRANGERS_PAUSE_S = 0.025
"""After a query that found nobody, the next waits this long: a flood of random keys costs 40 queries a second."""


class Directory:
    """Answers rows for digests."""

    def __init__(self, store: Store, cache: Cache, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock
        self._metrics = metrics
        self._asking: dict[tuple[bytes, int], asyncio.Task[KeyRow | None]] = {}
        self._coalescer: Coalescer[bytes, KeyRow | None] = Coalescer(self._ask, max_batch=MOST_AT_ONCE)
        self._not_before = 0.0

    async def find(self, digests: Sequence[bytes]) -> list[KeyRow | CapstanError | None]:
        """Answer for each digest its row, None for a stranger, or UNAVAILABLE or OVERLOADED."""
        found: dict[bytes, KeyRow | CapstanError | None] = {}
        missing = []
        for digest in dict.fromkeys(digests):
            if (entry := self._cache.fresh(digest)) is not None:
                found[digest] = entry.row
            else:
                missing.append(digest)
        if missing:
            found.update(zip(missing, await asyncio.gather(*map(self._looked_up, missing)), strict=True))
        return [found[digest] for digest in digests]

    async def close(self) -> None:
        """Let running lookups end."""
        await self._coalescer.close()

    async def _looked_up(self, digest: bytes) -> KeyRow | CapstanError | None:
        task = self._lookup(digest)
        patience_s = None if self._cache.stale(digest) is None else PATIENCE_S
        await asyncio.wait([task], timeout=patience_s)  # never cancels it: others wait for the same
        if not task.done() and (entry := self._cache.stale(digest)) is not None:
            return entry.row
        try:
            return await asyncio.shield(task)
        except CapstanError as error:
            entry = self._cache.stale(digest)
            return error if entry is None else entry.row

    def _lookup(self, digest: bytes) -> asyncio.Task[KeyRow | None]:
        """Join a lookup of this digest, unless something changed since it began."""
        place = digest, self._cache.changes
        if (task := self._asking.get(place)) is None:
            task = asyncio.create_task(self._coalescer.submit(digest), name="key lookup")
            self._asking[place] = task
            task.add_done_callback(lambda done: self._ended(place, done))
        return task

    def _ended(self, place: tuple[bytes, int], task: asyncio.Task[KeyRow | None]) -> None:
        del self._asking[place]
        if not task.cancelled():
            task.exception()  # has been seen: everybody who waited may have left

    async def _ask(self, digests: Sequence[bytes]) -> Sequence[KeyRow | None]:
        await self._clock.sleep(self._not_before - self._clock.monotonic())
        asked_s, changes = self._clock.monotonic(), self._cache.changes
        self._metrics.queries.inc()
        rows = await self._store.find(digests)
        for digest, row in zip(digests, rows, strict=True):
            self._cache.keep(digest, row, asked_s, changes)
        if not any(rows):
            self._not_before = self._clock.monotonic() + STRANGERS_PAUSE_S
        return rows
