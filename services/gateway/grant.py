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
    """What it would be charged if its work were cut short now, estimated; where there is no `late_usage`."""
    late_usage: Callable[[], Awaitable[tuple[Usage, bool]]] | None = None
    """Set by whoever does the work, before it may be cut short: answers usage after an abort, and whether that is what
    engines counted."""
    generated: Callable[[], int] | None = None
    """Set by whoever does the work: answers the tokens generated so far."""
    checkpointed: int = 0
    """How many of those the journal was told of."""
    closed: bool = False
    started: bool = False
    """Set by whoever does the work: a replica may have heard of it."""
    broken: bool = False
    """A replica may have worked on it in vain."""

    @property
    def generated_count(self) -> int:
        """Tokens that were handed out so far."""
        return self.generated() if self.generated is not None else 0

    @property
    def touched(self) -> bool:
        """Whether an engine may have counted something of it, and told billing, which would miss its record."""
        return self.broken or self.generated_count > 0

    @property
    def served(self) -> UsageRecord:
        """The record that it began with, but of the model that serves it."""
        return dataclasses.replace(self.record, model=self.model)

    @property
    def tokens_so_far(self) -> int:
        """What the limits should know of it by now."""
        return self.work.prompt_tokens + self.generated_count

    def runs_on(self, model: str) -> None:
        """Note what serves it; the journal hears of it, since what a death leaves behind is priced by that."""
        if model != self.model:
            self.model = model
            self._move(self)

    async def used(self) -> tuple[Usage, bool]:
        """Answer what was used by work that was cut short, and whether that is known and not estimated."""
        if self.late_usage is not None:
            return await self.late_usage()
        return self.usage, self.usage.total_tokens == 0

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
