"""Takes finished records from the journal to billing, in order, until billing says that they are committed.

At least once from here and exactly once there (billing keeps one event per request id), so nothing needs to be
remembered about a shipment that broke: it goes again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chassis.clock import Clock
from chassis.errors import CapstanError, Reason
from services.gateway.journal import Journal
from services.gateway.usage_record import UsageRecord


@dataclass(frozen=True, slots=True)
class Receipt:
    """What billing says of one record: it is committed, or parked for a person. Either way it is billing's now."""

    request_id: str
    parked: bool = False


Send = Callable[[Sequence[UsageRecord]], Awaitable[Sequence[Receipt]]]


class Shipper:
    """Ships at most `batch` records a call and one call at a time, `linger_s` after the first of them was finished.

    The wait makes one transaction of what would be many; it delays no client. A call that fails goes again after
    `first_pause_s`, doubling to `longest_pause_s`, each time shortened by up to half by `jitter` (0 to 1), so that
    gateways do not come back all at once. `send` must have a deadline of its own.
    """

    def __init__(
        self,
        journal: Journal,
        send: Send,
        *,
        clock: Clock,
        jitter: Callable[[], float],
        log: logging.Logger,
        batch: int = 500,
        linger_s: float = 0.2,
        first_pause_s: float = 0.2,
        longest_pause_s: float = 30.0,
    ) -> None:
        self._journal = journal
        self._send = send
        self._clock = clock
        self._jitter = jitter
        self._log = log
        self._batch = batch
        self._linger_s = linger_s
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._shipping = asyncio.Lock()
        self.shipped_count = 0
        """Records that billing has committed or parked."""
        self.parked_count = 0
        """Those among them that billing parked."""
        self.failures_in_a_row = 0
        """Calls that failed since the last that went well."""
        self._oldest: float | None = None

    @property
    def oldest_unshipped_s(self) -> float:
        """For how long the oldest ended record that was found waits for billing; 0: none was."""
        return max(0.0, self._clock.now() - self._oldest) if self._oldest is not None else 0.0

    async def run(self) -> None:
        """Ship for as long as the gateway lives. Never returns."""
        while True:
            await self._journal.wait_finished()
            await self._clock.sleep(self._linger_s)
            try:
                await self.flush()
            except CapstanError as error:
                await self._back_off(error)

    async def drained(self, within_s: float) -> bool:
        """Ship what is left at once, at most for `within_s`; answer whether nothing is left. For a shutdown."""
        try:
            async with asyncio.timeout(within_s):
                await self.flush()
        except (TimeoutError, CapstanError):
            return False
        return True

    async def flush(self) -> None:
        """Ship until nothing is left.

        Raises:
            CapstanError: what `send` or the journal raised; what is left stays in the journal.
        """
        async with self._shipping:
            await self._flush()

    async def _flush(self) -> None:
        while records := await self._journal.finished(self._batch):
            self._oldest = records[0].finish_time
            receipts = await self._send(records)
            answered = [receipt.request_id for receipt in receipts]
            await self._journal.forget(answered)
            self._count(receipts)
            if missing := {record.request_id for record in records}.difference(answered):
                raise CapstanError(Reason.INTERNAL, f"billing said nothing about {len(missing)} records")
        self._oldest = None

    def _count(self, receipts: Sequence[Receipt]) -> None:
        self.failures_in_a_row = 0
        self.shipped_count += len(receipts)
        parked = [receipt.request_id for receipt in receipts if receipt.parked]
        self.parked_count += len(parked)
        for request_id in parked:
            self._log.error("billing parked a usage record", extra={"request_id": request_id})

    async def _back_off(self, error: CapstanError) -> None:
        pause_s = min(self._longest_pause_s, self._first_pause_s * 2**self.failures_in_a_row)
        self.failures_in_a_row = min(self.failures_in_a_row + 1, 62)
        if self.failures_in_a_row == 1:
            self._log.warning("usage cannot be shipped, it gathers in the journal: %s", error)
        await self._clock.sleep(pause_s * (1 - self._jitter() / 2))
