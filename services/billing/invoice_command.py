"""`python -m services.billing invoice ORGANIZATION PERIOD [--format json|csv|html] [--issue]`: a month's statement."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from chassis import postgres
from chassis.clock import utc
from chassis.errors import CapstanError
from chassis.ids import RandomIds
from chassis.tenancy import Tenancy
from services.billing.invoice import Invoice, as_csv, as_html, as_json
from services.billing.invoice_servicer import period_of, text_of
from services.billing.invoice_store import InvoiceStore
from services.billing.settings import Settings

FORMATS = {"json": as_json, "csv": as_csv, "html": as_html}


def main(argv: Sequence[str], settings: Settings) -> int:
    """Print a statement; exit status 1 when it cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m services.billing invoice", description=__doc__)
    parser.add_argument("organization", help="org-…")
    parser.add_argument("period", help="the month, as 2026-11")
    parser.add_argument("--format", choices=sorted(FORMATS), default="json", help="default: json")
    parser.add_argument("--issue", action="store_true", help="issue it, which is final; else a preview")
    args = parser.parse_args(argv)
    try:
        found = asyncio.run(statement(settings, args.organization, args.period, issue=args.issue))
    except CapstanError as error:
        sys.stderr.write(f"{error.message or error}\n")
        return 1
    sys.stdout.write(FORMATS[args.format](found))
    return 0


async def statement(settings: Settings, organization_id: str, period: str, *, issue: bool) -> Invoice:
    """Find, make or issue a statement. Raises `CapstanError`."""
    text_of(organization_id, "organization_id")
    period_of(period)
    async with postgres.pool(settings.database(), application_name="invoice billing", max_size=1) as pool:
        store = InvoiceStore(Tenancy(pool, "billing"), lambda: utc(settings.clock()))
        if issue:
            return await store.issue(RandomIds().new("inv_"), organization_id, period)
        return await store.preview(organization_id, period)
