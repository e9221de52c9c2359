"""What several gateways share, in this process: the rules of answers.proto on a dictionary."""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass, field

from chassis.clock import Clock
from chassis.errors import unavailable
from services.gateway.answer import Whole
from services.gateway.caller import Caller
from services.gateway.claims import Claims, Standing, State

_NUMBERS = itertools.count()


@dataclass
class Entry:
    fingerprint: bytes
    claimant: str
    until: float
    standing: Standing = field(default_factory=lambda: Standing(State.RUNNING))


class Book:
    """Keys with their claims. `away`: every call fails."""

    def __init__(self, clock: Clock, *, away: bool = False) -> None:
        self._clock = clock
        self.entries: dict[tuple[str, str, str], Entry] = {}
        self.away = away
        self.calls = 0
        self.hears = asyncio.Event()
        """Cleared: it takes its time to note what came of work."""
        self.hears.set()

    async def claim(self, caller: Caller, key: str, fingerprint: bytes, claimant: str, lease_s: float) -> Standing:
        self._reach()
        place = (caller.organization_id, caller.project_id, key)
        entry = self.entries.get(place)
        now = self._clock.monotonic()
        if entry is None or entry.until <= now:
            self.entries[place] = Entry(fingerprint, claimant, now + lease_s)
            return Standing(State.GRANTED)
        if entry.fingerprint != fingerprint:
            return Standing(State.OTHER)
        if entry.standing.state is State.RUNNING and entry.claimant == claimant:
            entry.until = now + lease_s
            return Standing(State.GRANTED)
        return entry.standing

    async def conclude(self, caller: Caller, key: str, claimant: str, state: State, answer: Whole | None) -> None:
        self._reach()
        await self.hears.wait()
        place = (caller.organization_id, caller.project_id, key)
        entry = self.entries.get(place)
        if entry is None or entry.claimant != claimant:
            return
        if state is State.GRANTED:
            del self.entries[place]
        else:
            entry.standing = Standing(state, answer)
            entry.until = self._clock.monotonic() + 86_400

    def _reach(self) -> None:
        self.calls += 1
        if self.away:
            raise unavailable("ratelimit", "away")


def claims(book: Book, clock: Clock, patience_s: float = 60.0) -> Claims:
    return Claims(book, clock, lambda: f"claim_{next(_NUMBERS)}", logging.getLogger("claims"), patience_s=patience_s)


async def settled() -> None:
    """Let everything happen that needs no time to pass."""
    for _ in range(20):
        await asyncio.sleep(0)
