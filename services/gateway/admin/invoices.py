"""`/v1/organization/invoices/{period}`: a month's statement, for programs, spreadsheets and people. Capstan's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.gateway.admin.office import Office
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.invoices import Format, Invoices
from services.gateway.peers.admin.spending_rights import SpendingRights
from services.gateway.schema.admin.invoices import Invoice

MEDIA: Mapping[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
}
HARMLESS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-store",
}
"""The page holds names that clients chose: a browser shall do nothing with it but show it."""

As = Annotated[Format, Query(alias="format", description="For programs, for spreadsheets, or a page for people.")]


def router(office: Office) -> APIRouter:
    """Build the route."""
    invoices = Invoices(office.bookkeeper, SpendingRights(office.authority))
    made = APIRouter(prefix="/v1/organization/invoices", tags=["Usage"], route_class=AdminRoute)

    @made.get(
        "/{period}",
        operation_id="retrieve-invoice",
        summary="Show a month's statement: the issued one, or what it would say now (Capstan's own)",
        response_model=Invoice,
        responses={200: {"content": {"text/csv": {}, "text/html": {}}}},
    )
    async def retrieve_invoice(actor: Acting, period: str, wanted: As = "json") -> Response:
        text = await invoices.document(actor, period, wanted)
        return Response(text.encode(), headers=HARMLESS | {"content-type": MEDIA[wanted]})

    return made
