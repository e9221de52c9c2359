"""Tells, once per month and threshold, that so much was spent: in the log, and by webhook where there is one.

That a threshold fired is a row, written before anybody is told; so it is told at least once, and decided once however
many processes look. A delivery that fails comes again with growing pauses for three days.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from chassis.clock import Clock
from chassis.errors import CapstanError
from chassis.tenancy import Tenancy
from services.billing import budget_sql as sql
from services.billing.budgets import month_of, period_of
from services.billing.reaches import ALERTS
from services.billing.webhook import Webhook, WebhookError

LOOK_INTERVAL_S = 5.0
BATCH = 20
CLAIM = timedelta(minutes=1)
"""How long a delivery may take before another process tries it."""

PAUSES_S = (5, 30, 120, 600, 1800, 3600, 7200, *(14_400,) * 16)
"""Between attempts; after the last one it is given up."""

EVENTS = {"hard": "spend_limit.reached", "soft": "spend_limit.soft_reached"}
"""Names of the webhook's events by the firing's source; any other source is an alert."""


class Alerts:
    """Looks at spending every few seconds."""

    def __init__(
        self, tenancy: Tenancy, webhook: Webhook | None, *, now: Callable[[], datetime], log: logging.Logger
    ) -> None:
        self._tenancy = tenancy
        self._webhook = webhook
        self._now = now
        self._log = log

    async def run(self, clock: Clock) -> None:
        """Look for as long as the service lives. Never returns."""
        while True:
            await clock.sleep(LOOK_INTERVAL_S)
            try:
                await self.look()
            except CapstanError as error:
                self._log.warning("spending cannot be looked at: %s", error)

    async def look(self) -> None:
        """Fire what is reached and tell what is due."""
        now = self._now()
        month = month_of(now)
        async with self._tenancy.entered("", ALERTS) as borrowed:
            fired = await borrowed.fetch(
                sql.FIRE, period_of(now), now, self._webhook is not None, month, period_of(month - timedelta(days=1))
            )
        for row in fired:
            self._log.warning(
                "spending of %s in %s reached %s: %d of %d nano-dollars",
                row["project_id"] or row["organization_id"],
                row["period"],
                row["source"],
                row["amount_nanousd"],
                row["threshold_nanousd"],
            )
        if self._webhook is not None:
            async with self._tenancy.entered("", ALERTS) as borrowed:
                due = await borrowed.fetch(sql.DUE, now, now + CLAIM, BATCH)
            for row in due:
                await self._deliver(self._webhook, row)

    async def _deliver(self, webhook: Webhook, row: asyncpg.Record) -> None:
        now, message_id = self._now(), row["message_id"]
        try:
            await webhook.tell(message_id, int(now.timestamp()), body_of(row))
        except WebhookError as error:
            attempt = row["attempt_count"]
            pause = PAUSES_S[attempt - 1] if attempt <= len(PAUSES_S) else None
            self._log.warning("a spend alert was not delivered, attempt %d: %s", attempt, error)
            again = None if pause is None else now + timedelta(seconds=pause)
            async with self._tenancy.entered("", ALERTS) as borrowed:
                await borrowed.execute(sql.RETRY, message_id, again)
            return
        async with self._tenancy.entered("", ALERTS) as borrowed:
            await borrowed.execute(sql.DELIVERED, message_id, self._now())


def body_of(row: asyncpg.Record | Mapping[str, Any]) -> bytes:
    """Write the webhook's body for a firing. Amounts are nano-dollars, as text."""
    return orjson.dumps(
        {
            "type": EVENTS.get(row["source"], "spend_alert.reached"),
            "timestamp": row["fire_time"].isoformat(),
            "data": {
                "organization_id": row["organization_id"],
                "project_id": row["project_id"] or None,
                "alert_id": None if row["source"] in EVENTS else row["source"],
                "period": row["period"],
                "threshold_nanousd": str(row["threshold_nanousd"]),
                "spent_nanousd": str(row["amount_nanousd"]),
                "recipients": list(row["recipients"]),
                "subject_prefix": row["subject_prefix"] or None,
            },
        }
    )
