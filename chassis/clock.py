"""Time as an argument: the system's clock in production, a hand-turned one in tests."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

TOLERATED_SKEW_S = 60.0
"""By how much the clocks of two machines may differ before the one that keeps the books is believed alone."""


class Clock(Protocol):
    """What the time is, and waiting for it to pass."""

    def now(self) -> float:
        """Answer the wall time, unix seconds. May jump; never subtract two of them."""
        ...

    def monotonic(self) -> float:
        """Answer seconds from an arbitrary start that never go back. For durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`; 0 or less only yields to other tasks."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """See `Clock`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        await asyncio.sleep(max(0.0, seconds))


class OffsetClock(SystemClock):
    """The machine's clock, wrong by the seconds that a file says at that moment; by none while there is no file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> float:
        """See `Clock`. Raises `ValueError` when the file holds no number."""
        try:
            return super().now() + float(self._file.read_text(encoding="ascii"))
        except FileNotFoundError:
            return super().now()


class ManualClock:
    """A clock that stands still until it is advanced. Wall and monotonic time move together."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """See `Clock`."""
        return self._now

    def monotonic(self) -> float:
        """See `Clock`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """See `Clock`; returns once `advance` has moved past the end."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move time on, waking sleepers in the order of their ends and letting each run before the next."""
        end = self._now + seconds
        # What was started just before has its chance to begin its sleep.
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await _settle()
        self._now = end


def utc(clock: Clock) -> datetime:
    """Answer what `clock` says as a time in UTC."""
    return datetime.fromtimestamp(clock.now(), UTC)


async def _settle() -> None:
    """Let tasks that are ready run until they wait again; ten turns suffice for the chains tests build."""
    for _ in range(10):
        await asyncio.sleep(0)
