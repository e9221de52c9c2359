"""Leave to do one request's work: what is known of it while it lasts, and the way to its end."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from services.gateway.caller import Caller
from services.gateway.deltas import Usage
from services.gateway.limits_headers import Meter
from services.gateway.spending import Quote
from services.gateway.usage_record import Outcome, UsageRecord
from services.gateway.work import Work


@dataclass(slots=True)
class Grant:
    """Leave to do one request's work. `finish` it before the last byte leaves."""

    request_id: str
    caller: Caller
    work: Work
    model: str
    """Served name, aliases resolved: of what serves it, once that is known."""
    meters: list[Meter]
    record: UsageRecord
    quote: Quote
    """What it may cost."""
    moderated: bool
    """False when an advisory policy was served without a verdict."""
    _close: Callable[[Grant, Outcome, Usage, bool], Awaitable[None]]
    _move: Callable[[Grant], None]
    _beginning: asyncio.Task[None]
    usage: Usage = field(default_factory=Usage)
    """What is known so far; estimated until the engine has counted."""
    late_usage: Callable[[], Awaitable[tuple[Usage, bool]]] | None = None
    """Set by whoever does the work: answers usage after an abort, and whether the engine counted it."""
    generated: Callable[[], int] | None = None
    """Set by whoever does the work: answers the tokens generated so far."""
    checkpointed: int = 0
    """How many of those the journal was told of."""
    closed: bool = False
    started: bool = False
    """Set by whoever does the work: a replica may have heard of it."""
    broken: bool = False
    """A replica worked on it and failed."""

    @property
    def touched(self) -> bool:
        """Whether an engine may have counted something of it, and told billing, which would miss its record."""
        return self.broken or (self.generated is not None and self.generated() > 0)

    @property
    def served(self) -> UsageRecord:
        """The record that it began with, but of the model that serves it."""
        return dataclasses.replace(self.record, model=self.model)

    @property
    def tokens_so_far(self) -> int:
        """What the limits should know of it by now."""
        return self.work.prompt_tokens + (self.generated() if self.generated is not None else 0)

    def runs_on(self, model: str) -> None:
        """Note what serves it; the journal hears of it, since what a death leaves behind is priced by that."""
        if model != self.model:
            self.model = model
            self._move(self)

    async def begun(self) -> None:
        """Return when the journal knows of it; nothing may leave before. The disk works while a replica does.

        Raises `CapstanError` METERING_UNAVAILABLE.
        """
        if not await self.is_begun():
            self._beginning.result()

    async def is_begun(self) -> bool:
        """Wait for the same; answer whether the journal knows of it."""
        if not self._beginning.done():
            await asyncio.wait([self._beginning])
        return not self._beginning.cancelled() and self._beginning.exception() is None

    async def finish(self, outcome: Outcome, usage: Usage, *, estimated: bool = False) -> None:
        """Record how the work ended; returns when that is durable. Only the first time has an effect.

        Raises `CapstanError` METERING_UNAVAILABLE when it was never recorded that it began.
        """
        if not self.closed:
            await self.begun()
            self.closed = True
            self.usage = usage
            await self._close(self, outcome, usage, estimated)
