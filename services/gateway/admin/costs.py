"""`/v1/organization/costs`: what was spent, day by day."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.gateway.admin.office import Office
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.admin.span import Days, WhoseCosts
from services.gateway.peers.admin.spending_rights import SpendingRights
from services.gateway.peers.admin.usage import CostGroup, Usage
from services.gateway.schema.admin.costs import Costs
from services.gateway.schema.admin.usage import Buckets

Groups = Annotated[
    list[CostGroup], Query(max_length=3, description="One result for each combination of these; none: one per day.")
]


def router(office: Office) -> APIRouter:
    """Build the route."""
    usage = Usage(office.bookkeeper, SpendingRights(office.authority))
    made = APIRouter(prefix="/v1/organization/costs", tags=["Usage"], route_class=AdminRoute)

    @made.get("", operation_id="usage-costs", summary="Sum what was spent")
    async def costs(
        actor: Acting,
        days: Days,
        whose: WhoseCosts,
        group_by: Groups = [],  # noqa: B006 - never changed
    ) -> Buckets[Costs]:
        return await usage.costs(actor, days, whose, group_by)

    return made
