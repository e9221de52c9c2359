"""`/v1/organization/credit`: what was paid in advance and is left, to be seen and not changed. Capstan's own."""

from __future__ import annotations

from fastapi import APIRouter

from services.gateway.admin.office import Office
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.credit import Credits
from services.gateway.peers.admin.spending_rights import SpendingRights
from services.gateway.schema.admin.credit import Credit


def router(office: Office) -> APIRouter:
    """Build the route."""
    credits_ = Credits(office.bookkeeper, SpendingRights(office.authority))
    made = APIRouter(prefix="/v1/organization/credit", tags=["Usage"], route_class=AdminRoute)

    @made.get(
        "",
        operation_id="retrieve-credit",
        summary="Show what was paid in advance, used and is left (Capstan's own)",
        response_model=Credit,
    )
    async def retrieve_credit(actor: Acting) -> Credit:
        standing = await credits_.standing(actor)
        return Credit(
            organization_id=actor.organization_id,
            prepaid=standing.prepaid,
            granted_nanousd=str(standing.granted_nanousd),
            used_nanousd=str(standing.used_nanousd),
            remaining_nanousd=str(standing.granted_nanousd - standing.used_nanousd),
        )

    return made
