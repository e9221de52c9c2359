"""Rows of an organisation in every table of billing and of jobs, made by the services' own stores."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from chassis.tenancy import Tenancy
from services.billing.alerts import Alerts
from services.billing.budget_store import BudgetStore
from services.billing.budgets import Alert, Limit
from services.billing.invoice import Correction
from services.billing.invoice_store import InvoiceStore
from services.billing.store import Store as Ledger
from services.billing.wire import delivery
from services.billing.witness import Counted, Testimony
from services.billing.witness_store import WitnessStore
from services.jobs.files import File, Purpose
from services.jobs.files import Tenant as Owner
from services.jobs.store import Store as Files
from services.jobs.stored import Kind, Stored
from services.jobs.stored_store import StoredStore
from tests.integration.billing.conftest import NOON, usage_event

OCTOBER = datetime(2026, 10, 20, tzinfo=UTC)


def noon() -> datetime:
    return NOON


async def fill_billing(tenancy: Tenancy, organization_id: str) -> None:
    events = [
        usage_event(f"{organization_id}{place}", organization_id=organization_id, start_time=when, finish_time=when)
        for place, when in enumerate((NOON, OCTOBER))
    ]
    unpriced = usage_event(f"{organization_id}x", organization_id=organization_id, endpoint=0)
    await Ledger(tenancy, noon).ingest([delivery(event) for event in (*events, unpriced)])
    told = [
        Testimony(
            Counted(event.request_id, event.request_id, 100, 0, 20, 0, NOON, failed=False), b"", event.organization_id
        )
        for event in events
    ]
    await WitnessStore(tenancy).keep("replica-1", told, NOON)
    budgets = BudgetStore(tenancy, noon)
    await budgets.set_limit(organization_id, "", Limit(10**12, 1))
    await budgets.set_terms(organization_id, prepaid=False, max_exposure_nanousd=None)
    assert await budgets.grant(f"grant-{organization_id}", organization_id, 10**9, "")
    await budgets.create_alert(Alert(f"alert_{organization_id}", organization_id, "", 1, ("x@y",), "", NOON))
    await Alerts(tenancy, None, now=noon, log=logging.getLogger("test")).look()
    correction = Correction(f"c-{organization_id}", "req", "a slow day", -1_000)
    assert await InvoiceStore(tenancy, lambda: OCTOBER).correct(organization_id, correction)
    issued = await InvoiceStore(tenancy, noon).issue(f"inv_{organization_id}", organization_id, "2026-10")
    assert (len(issued.lines), len(issued.corrections)) == (1, 1)


async def fill_jobs(tenancy: Tenancy, organization_id: str) -> None:
    owner = Owner(organization_id, "proj_1")
    file = File("file-1", "a.jsonl", Purpose.BATCH, 1, NOON, NOON + timedelta(hours=1))
    await Files(tenancy, noon).of(owner).register(file)
    answer = Stored(Kind.RESPONSE, "resp_1", NOON, "demo", {}, "", b"{}", b"[]")
    await StoredStore(tenancy, noon, timedelta(days=30)).of(owner, Kind.RESPONSE).put(answer)


FILL = {"billing": fill_billing, "jobs": fill_jobs}
