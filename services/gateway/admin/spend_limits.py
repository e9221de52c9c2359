"""`/v1/organization/spend_limit` and a project's: what may be spent in a month."""

# Annotations are needed while they are made: what they name is local. So they are not postponed here.
from typing import Annotated

from fastapi import APIRouter, Depends

from services.gateway.admin.office import Office
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.admin.scope import scope_of
from services.gateway.peers.admin.spend_limits import SpendLimits
from services.gateway.peers.admin.spending_rights import SpendingRights
from services.gateway.schema.admin.spending import SpendLimit, SpendLimitDeleted, SpendLimitUpdate


def router(office: Office) -> APIRouter:
    """Build the routes of both."""
    made = APIRouter()
    made.include_router(_limit(office, "/v1/organization/spend_limit", "organization", in_project=False))
    made.include_router(
        _limit(office, "/v1/organization/projects/{project_id}/spend_limit", "project", in_project=True)
    )
    return made


def _limit(office: Office, path: str, noun: str, *, in_project: bool) -> APIRouter:
    limits = SpendLimits(office.bookkeeper, SpendingRights(office.authority))
    made = APIRouter(prefix=path, tags=["Spend limits"], route_class=AdminRoute)
    place = scope_of(in_project=in_project)

    @made.get("", operation_id=f"Get{noun}spendlimit", summary="Show what may be spent in a month, and what was")
    async def retrieve(actor: Acting, project_id: Annotated[str, Depends(place)]) -> SpendLimit:
        return await limits.get(actor, project_id)

    @made.post("", operation_id=f"Update{noun}spendlimit", summary="Say what may be spent in a month")
    async def update(actor: Acting, project_id: Annotated[str, Depends(place)], body: SpendLimitUpdate) -> SpendLimit:
        return await limits.set(actor, body, project_id)

    @made.delete("", operation_id=f"Delete{noun}spendlimit", summary="Lift the limit")
    async def delete(actor: Acting, project_id: Annotated[str, Depends(place)]) -> SpendLimitDeleted:
        return await limits.delete(actor, project_id)

    return made
