"""`/v1/organization/projects/{project_id}/rate_limits`: what a project may use of each model."""

from __future__ import annotations

from fastapi import APIRouter

from services.gateway.admin.office import Office
from services.gateway.admin.paging import PageBothWays
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.rate_limits import RateLimits
from services.gateway.schema.admin.deleted import RateLimitDeleted
from services.gateway.schema.admin.lists import Listing
from services.gateway.schema.admin.rate_limits import RateLimit, RateLimitUpdate

ONE = "/{rate_limit_id:path}"
"""A model's name may hold slashes."""


def router(office: Office) -> APIRouter:
    """Build the routes."""
    limits = RateLimits(office.authority)
    made = APIRouter(
        prefix="/v1/organization/projects/{project_id}/rate_limits", tags=["Rate limits"], route_class=AdminRoute
    )

    @made.get("", operation_id="list-project-rate-limits", summary="List what a project may use of each model")
    async def list_limits(actor: Acting, project_id: str, page: PageBothWays) -> Listing[RateLimit]:
        models = sorted({model.served_name for model in await office.placer.models()})
        return await limits.list(actor, page, project_id, models)

    @made.post(ONE, operation_id="update-project-rate-limits", summary="Change what a project may use of a model")
    async def update_limit(actor: Acting, project_id: str, rate_limit_id: str, body: RateLimitUpdate) -> RateLimit:
        return await limits.update(actor, project_id, rate_limit_id, body)

    @made.delete(
        ONE, operation_id="delete-project-rate-limit", summary="Return to the organization's numbers (Capstan's own)"
    )
    async def delete_limit(actor: Acting, project_id: str, rate_limit_id: str) -> RateLimitDeleted:
        await limits.delete(actor, project_id, rate_limit_id)
        return RateLimitDeleted(id=rate_limit_id)

    return made
