"""Settles what no gateway will: requests that an engine served and whose gateway never came back to tell.

A gateway that died with its journal, or for longer than the grace, has begun requests that nobody finishes. Their
engines told what they counted, and the gateway had given along who asked and at what price; so they become events here.
When the gateway does come back, its own record of them is a duplicate and changes nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from chassis.clock import Clock
from chassis.errors import CapstanError
from services.billing.metrics import Metrics
from services.billing.store import Status, Store
from services.billing.wire import recovered_delivery
from services.billing.witness_store import Drift, WitnessStore

BATCH = 200
STRETCH = 20_000
"""Reports looked at in one statement, which so takes a fraction of the time that a statement may."""

LOOK_BACK = timedelta(days=3)
"""How old a report may be that an earlier process left unlooked at."""

NO_DRIFT = Drift(0, 0, 0, 0, 0)
DRIFT_WINDOW = timedelta(hours=1)
TOLERATED_DRIFT = 0.001


class Reconciler:
    """Looks every `interval_s` at what was told more than `grace` ago, and compares both witnesses."""

    def __init__(
        self,
        witness: WitnessStore,
        store: Store,
        *,
        grace: timedelta,
        interval_s: float,
        now: Callable[[], datetime],
        metrics: Metrics,
        log: logging.Logger,
    ) -> None:
        self._witness = witness
        self._store = store
        self._grace = grace
        self._interval_s = interval_s
        self._now = now
        self._metrics = metrics
        self._log = log
        self._since = now() - LOOK_BACK
        self._seen: deque[tuple[datetime, Drift]] = deque()
        self._drifting = False

    async def run(self, clock: Clock) -> None:
        """Reconcile for as long as the service lives. Never returns."""
        while True:
            await clock.sleep(self._interval_s)
            try:
                await self.look()
            except CapstanError as error:
                self._log.warning("what engines counted cannot be looked at: %s", error)

    async def look(self) -> None:
        """Settle what waited long enough, and compare what was told since the last look."""
        until = self._now() - self._grace
        while self._since < until:
            edge = await self._witness.edge(self._since, until, STRETCH)
            await self._settle(edge)
            if edge > until - DRIFT_WINDOW:
                self._seen.append((edge, await self._witness.drift(self._since, edge)))
            self._since = edge
        while self._seen and self._seen[0][0] < until - DRIFT_WINDOW:
            self._seen.popleft()
        self._tell(sum((drift for _, drift in self._seen), NO_DRIFT))

    async def _settle(self, until: datetime) -> None:
        """Make events of what has none, or park it."""
        after = ""
        while orphans := await self._witness.orphans(self._since, until, after, BATCH):
            after = orphans[-1].counted.request_id
            receipts = await self._store.ingest([recovered_delivery(told) for told in orphans])
            settled = sum(receipt.status is Status.RECORDED for receipt in receipts)
            self._metrics.recovered.inc(settled)
            if settled:
                self._log.warning("requests were settled by what their engines counted", extra={"count": settled})

    def _tell(self, drift: Drift) -> None:
        self._metrics.drift.set(drift.ratio)
        drifting = drift.ratio > TOLERATED_DRIFT
        if drifting and not self._drifting:
            self._log.error(
                "gateways and engines disagree about tokens: %d requests of %d differ, %d have no event, %d tokens "
                "counted and %d recorded",
                drift.different_count,
                drift.request_count,
                drift.missing_count,
                drift.counted_tokens,
                drift.recorded_tokens,
            )
        self._drifting = drifting
