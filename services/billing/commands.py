"""What billing does beside serving: bring the schema up to date, check its books."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from chassis import postgres
from chassis.clock import utc
from chassis.tenancy import Tenancy
from services.billing import verify as books
from services.billing.evidence import Evidence
from services.billing.finding import table
from services.billing.price_file import parse
from services.billing.price_store import publish
from services.billing.settings import Settings

MIGRATIONS = Path(__file__).with_name("migrations")
_LONG_STATEMENT_S = 600.0


async def migrate(settings: Settings) -> int:
    """Bring the schema up to date and publish new versions of the price book. Idempotent."""
    prices = parse(settings.price_book.read_text(encoding="utf-8"))
    applied = await postgres.migrate(settings.database(), "billing", MIGRATIONS)
    async with postgres.pool(settings.database(), application_name="migrate billing", max_size=1) as pool:
        published = await pool.retried(lambda connection: publish(connection, prices))
    _say(f"billing: applied {', '.join(applied) or 'no migration'}; published {published} new prices")
    return 0


async def verify(settings: Settings, beside: Evidence | None = None) -> int:
    """Check the invariants of the books, with what is known `beside` them, and print them; 1 when one is violated."""
    async with postgres.pool(
        settings.database(),
        application_name="verify billing",
        max_size=1,
        statement_timeout_s=_LONG_STATEMENT_S,
    ) as pool:
        told_until = utc(settings.clock()) - timedelta(seconds=settings.recovery_grace_s)
        findings = await books.check(Tenancy(pool, "billing"), told_until, beside or Evidence())
    _say(table(findings))
    return 1 if any(finding.holds is False for finding in findings) else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
