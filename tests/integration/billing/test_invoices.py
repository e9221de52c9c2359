"""A statement is a month's events to the nano-dollar, never changes, and what comes late is on the next. Row B10."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from capstan.billing.v1 import invoices_pb2, invoices_pb2_grpc
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import call
from services.billing import commands, invoice_command
from services.billing.invoice import dollars
from tests.integration.billing.conftest import Books, usage_event

OCTOBER, NOVEMBER = "2026-10", "2026-11"
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)


async def ask(books: Books, name: str, **fields: Any) -> Any:
    stub = invoices_pb2_grpc.InvoiceServiceStub(books.channel)
    request = getattr(invoices_pb2, f"{name}Request")(**fields)
    return await call(getattr(stub, name), request, timeout_s=5, peer="billing")


async def test_a_request_over_the_months_end_is_in_the_month_of_its_start(books: Books, organization_id: str) -> None:
    over = usage_event(
        "over",
        organization_id=organization_id,
        start_time=MIDNIGHT - timedelta(microseconds=1),
        finish_time=MIDNIGHT + timedelta(minutes=5),
    )
    at = usage_event("at", organization_id=organization_id, start_time=MIDNIGHT, finish_time=MIDNIGHT)
    await books.ingest(over, at)
    for period in (OCTOBER, NOVEMBER):
        found = (await ask(books, "GetInvoice", organization_id=organization_id, period_id=period)).invoice
        assert (found.invoice_id, found.total_nanousd) == ("", 27_000)
        assert [(line.period_id, line.request_count) for line in found.lines] == [(period, 1)]


async def test_a_statement_is_written_as_it_is_asked_for(books: Books, organization_id: str) -> None:
    await books.ingest(usage_event("one", organization_id=organization_id, start_time=MIDNIGHT))
    asked = {"organization_id": organization_id, "period_id": NOVEMBER}
    beginnings = {0: "", 1: "{", 2: "period,project_id", 3: "<!doctype html>"}
    for form, beginning in beginnings.items():
        answer = await ask(books, "GetInvoice", **asked, format=form)
        assert answer.document.startswith(beginning)
        assert bool(answer.document) == bool(form)
        assert answer.invoice.total_nanousd == 27_000
    with pytest.raises(CapstanError) as refused:
        await ask(books, "GetInvoice", **asked, format=9)
    assert refused.value.reason is Reason.INVALID_ARGUMENT


async def test_an_issued_statement_stays_and_what_is_late_is_on_the_next(books: Books, organization_id: str) -> None:
    october = MIDNIGHT - timedelta(days=3)
    asked = {"organization_id": organization_id, "period_id": OCTOBER}
    await books.ingest(*(usage_event(f"o{n}", organization_id=organization_id, start_time=october) for n in range(3)))
    issued = (await ask(books, "IssueInvoice", **asked)).invoice
    assert issued.invoice_id.startswith("inv_")
    assert issued.total_nanousd == 81_000
    await books.ingest(
        usage_event("late", organization_id=organization_id, start_time=october, project_id="proj_late"),
        usage_event("late2", organization_id=organization_id, start_time=october),
        usage_event("new", organization_id=organization_id, start_time=MIDNIGHT),
    )
    correction = {
        "correction_id": "c-" + organization_id,
        "refers_to": issued.invoice_id,
        "reason": "a slow day",
        "amount_nanousd": -1_000,
    }
    for duplicate in (False, True):
        answer = await ask(books, "EnterCorrection", organization_id=organization_id, correction=correction)
        assert answer.duplicate is duplicate
    assert (await ask(books, "IssueInvoice", **asked)).invoice == issued
    assert (await ask(books, "GetInvoice", **asked)).invoice == issued
    following = (await ask(books, "GetInvoice", organization_id=organization_id, period_id=NOVEMBER)).invoice
    assert [(line.period_id, line.project_id, line.amount_nanousd) for line in following.lines] == [
        (NOVEMBER, "proj_1", 27_000),
        (OCTOBER, "proj_1", 27_000),
        (OCTOBER, "proj_late", 27_000),
    ]
    assert [one.refers_to for one in following.corrections] == [issued.invoice_id]
    assert following.total_nanousd == 80_000
    assert (await books.account(organization_id)).receivable_nanousd == 6 * 27_000 - 1_000
    assert await commands.verify(books.settings) == 0


async def test_a_month_that_is_not_over_is_not_issued(books: Books, organization_id: str) -> None:
    with pytest.raises(CapstanError) as refused:
        await ask(books, "IssueInvoice", organization_id=organization_id, period_id=NOVEMBER)
    assert refused.value.reason is Reason.INVALID_ARGUMENT


@pytest.mark.parametrize("period", ["", "2026", "2026-13", "2026-11-01", "2026-1"])
async def test_a_period_that_is_none_is_refused(books: Books, organization_id: str, period: str) -> None:
    with pytest.raises(CapstanError) as refused:
        await ask(books, "GetInvoice", organization_id=organization_id, period_id=period)
    assert refused.value.reason is Reason.INVALID_ARGUMENT


async def test_all_three_forms_say_the_same(books: Books, organization_id: str) -> None:
    project = "=1+<b>"
    await books.ingest(usage_event("form", organization_id=organization_id, start_time=MIDNIGHT, project_id=project))
    found = await invoice_command.statement(books.settings, organization_id, NOVEMBER, issue=False)
    document = json.loads(invoice_command.FORMATS["json"](found))
    assert (document["total_nanousd"], document["total_usd"]) == ("27000", "0.000027")
    assert document["lines"][0]["project_id"] == project
    rows = list(csv.DictReader(io.StringIO(invoice_command.FORMATS["csv"](found))))
    assert [row["amount_usd"] for row in rows] == ["0.000027", "0.000027"]
    assert rows[0]["project_id"] == "'" + project
    page = invoice_command.FORMATS["html"](found)
    assert "0.000027" in page
    assert "=1+&lt;b&gt;" in page
    assert "preview" in page


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (10**9, "1.00"), (-1_500_000_000, "-1.50"), (1, "0.000000001"), (1_234_567 * 10**9, "1,234,567.00")],
)
def test_amounts_are_written_exactly(amount: int, text: str) -> None:
    assert dollars(amount) == text
