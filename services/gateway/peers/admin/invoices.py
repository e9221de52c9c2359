"""Monthly statements, as billing writes them."""

from __future__ import annotations

from typing import Literal

from capstan.billing.v1 import invoices_pb2
from services.gateway.actor import Actor
from services.gateway.peers.admin.bookkeeper import Bookkeeper
from services.gateway.peers.admin.spending_rights import SpendingRights

Format = Literal["json", "csv", "html"]
_FORMATS: dict[Format, invoices_pb2.InvoiceFormat.ValueType] = {
    "json": invoices_pb2.INVOICE_FORMAT_JSON,
    "csv": invoices_pb2.INVOICE_FORMAT_CSV,
    "html": invoices_pb2.INVOICE_FORMAT_HTML,
}


class Invoices:
    """Billing's statements. What the methods raise is what `Authority.ask` and `Bookkeeper.ask` raise."""

    def __init__(self, books: Bookkeeper, rights: SpendingRights) -> None:
        self._books = books
        self._rights = rights

    async def document(self, actor: Actor, period: str, wanted: Format) -> str:
        """Answer a month's statement, issued or what it would say now."""
        await self._rights.see_usage(actor)
        request = invoices_pb2.GetInvoiceRequest(
            organization_id=actor.organization_id, period_id=period, format=_FORMATS[wanted]
        )
        answer: invoices_pb2.GetInvoiceResponse = await self._books.ask(self._books.invoices.GetInvoice, request)
        return answer.document
