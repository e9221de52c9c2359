"""Both witnesses compared: what gateways recorded and what engines counted."""

from __future__ import annotations

from datetime import datetime

from chassis.postgres import Connection
from services.billing.finding import Finding
from services.billing.reconciler import TOLERATED_DRIFT
from services.billing.witness_store import Drift, drift

_EVER = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


async def witnesses_agree(connection: Connection, until: datetime) -> tuple[Finding, Finding]:
    """Compare everything that engines told of before `until`."""
    found: Drift = await drift(connection, _EVER, until)
    return (
        Finding(
            "I6",
            found.missing_count == 0,
            "each request that an engine served has an event",
            f"{found.request_count} requests told of by engines, {found.missing_count} without",
        ),
        Finding(
            "I7",
            found.ratio <= TOLERATED_DRIFT,
            "events have the tokens that engines counted",
            f"{found.counted_tokens:,} counted, {found.recorded_tokens:,} recorded, drift {found.ratio:.4%}, "
            f"{found.different_count} requests differ",
        ),
    )
