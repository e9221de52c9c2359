"""InvoiceService on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from capstan.billing.v1 import invoices_pb2, invoices_pb2_grpc
from chassis.errors import CapstanError, Reason
from chassis.ids import Ids
from services.billing.budgets import MOST_NANOUSD
from services.billing.events import LONGEST_TEXT
from services.billing.invoice import Correction, Invoice, as_csv, as_html, as_json
from services.billing.invoice_store import InvoiceStore

WRITERS: Mapping[int, Callable[[Invoice], str]] = {
    invoices_pb2.INVOICE_FORMAT_UNSPECIFIED: lambda _: "",
    invoices_pb2.INVOICE_FORMAT_JSON: as_json,
    invoices_pb2.INVOICE_FORMAT_CSV: as_csv,
    invoices_pb2.INVOICE_FORMAT_HTML: as_html,
}
PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class InvoiceServicer(invoices_pb2_grpc.InvoiceServiceServicer):
    """See invoices.proto."""

    def __init__(self, store: InvoiceStore, ids: Ids) -> None:
        self._store = store
        self._ids = ids

    async def GetInvoice(
        self, request: invoices_pb2.GetInvoiceRequest, context: object
    ) -> invoices_pb2.GetInvoiceResponse:
        """Answer a statement."""
        if request.format not in WRITERS:
            raise _invalid("format", f"{request.format} is unknown")
        found = await self._store.preview(
            text_of(request.organization_id, "organization_id"), period_of(request.period_id)
        )
        return invoices_pb2.GetInvoiceResponse(invoice=_message(found), document=WRITERS[request.format](found))

    async def IssueInvoice(
        self, request: invoices_pb2.IssueInvoiceRequest, context: object
    ) -> invoices_pb2.IssueInvoiceResponse:
        """Issue a statement."""
        issued = await self._store.issue(
            self._ids.new("inv_"), text_of(request.organization_id, "organization_id"), period_of(request.period_id)
        )
        return invoices_pb2.IssueInvoiceResponse(invoice=_message(issued))

    async def EnterCorrection(
        self, request: invoices_pb2.EnterCorrectionRequest, context: object
    ) -> invoices_pb2.EnterCorrectionResponse:
        """Correct."""
        told = request.correction
        if not 0 < abs(told.amount_nanousd) <= MOST_NANOUSD:
            raise _invalid("amount_nanousd", f"not 0, and at most {MOST_NANOUSD} either way")
        correction = Correction(
            text_of(told.correction_id, "correction_id"),
            text_of(told.refers_to, "refers_to"),
            text_of(told.reason, "reason"),
            told.amount_nanousd,
        )
        new = await self._store.correct(text_of(request.organization_id, "organization_id"), correction)
        return invoices_pb2.EnterCorrectionResponse(duplicate=not new)


def period_of(text: str) -> str:
    """Read a month. Raises INVALID_ARGUMENT."""
    if not PERIOD.fullmatch(text):
        raise _invalid("period_id", "a month is written 2026-11")
    return text


def text_of(value: str, field: str) -> str:
    """Read a required text. Raises INVALID_ARGUMENT."""
    if not value or len(value) > LONGEST_TEXT or "\0" in value:
        raise _invalid(field, f"1 to {LONGEST_TEXT} characters, without NUL")
    return value


def _message(invoice: Invoice) -> invoices_pb2.Invoice:
    message = invoices_pb2.Invoice(
        invoice_id=invoice.invoice_id,
        organization_id=invoice.organization_id,
        period_id=invoice.period,
        total_nanousd=invoice.total_nanousd,
        lines=[
            invoices_pb2.InvoiceLine(
                period_id=line.period,
                project_id=line.project_id,
                item=line.item,
                request_count=line.request_count,
                prompt_tokens=line.prompt_tokens,
                cached_prompt_tokens=line.cached_prompt_tokens,
                completion_tokens=line.completion_tokens,
                amount_nanousd=line.amount_nanousd,
            )
            for line in invoice.lines
        ],
        corrections=[
            invoices_pb2.InvoiceCorrection(
                correction_id=one.correction_id,
                refers_to=one.refers_to,
                reason=one.reason,
                amount_nanousd=one.amount_nanousd,
            )
            for one in invoice.corrections
        ],
    )
    message.issue_time.FromDatetime(invoice.issue_time)
    return message


def _invalid(field: str, message: str) -> CapstanError:
    return CapstanError(Reason.INVALID_ARGUMENT, message, param=field)
