"""`/v1/organizations`: Capstan's own, for those who operate the installation; `/v1/organization` is the caller's."""

from __future__ import annotations

from fastapi import APIRouter

from services.gateway.admin.office import Office
from services.gateway.admin.paging import Page
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.organizations import Organizations
from services.gateway.peers.admin.rate_limits import RateLimits
from services.gateway.schema.admin.deleted import RateLimitDeleted
from services.gateway.schema.admin.lists import Listing
from services.gateway.schema.admin.organizations import (
    Organization,
    OrganizationCreate,
    OrganizationUpdate,
    OrganizationWithKey,
)
from services.gateway.schema.admin.rate_limits import RateLimit, RateLimitUpdate

ALL, ONE = "/organizations", "/organizations/{organization_id}"
LIMITS, LIMIT = f"{ONE}/rate_limits", f"{ONE}/rate_limits/{{rate_limit_id:path}}"


def router(office: Office) -> APIRouter:
    """Build the routes."""
    organizations, limits = Organizations(office.authority), RateLimits(office.authority)
    made = APIRouter(prefix="/v1", tags=["Organizations (Capstan's own)"], route_class=AdminRoute)

    @made.get("/organization", operation_id="retrieve-own-organization", summary="Show the caller's organization")
    async def retrieve_own(actor: Acting) -> Organization:
        return await organizations.get(actor, "")

    @made.get(ALL, operation_id="list-organizations", summary="List all organizations")
    async def list_organizations(actor: Acting, page: Page) -> Listing[Organization]:
        return await organizations.list(actor, page)

    @made.post(ALL, operation_id="create-organization", summary="Make an organization and its first admin key")
    async def create_organization(actor: Acting, body: OrganizationCreate) -> OrganizationWithKey:
        return await organizations.create(actor, body)

    @made.get(ONE, operation_id="retrieve-organization", summary="Show an organization")
    async def retrieve_organization(actor: Acting, organization_id: str) -> Organization:
        return await organizations.get(actor, organization_id)

    @made.post(ONE, operation_id="modify-organization", summary="Change an organization")
    async def modify_organization(actor: Acting, organization_id: str, body: OrganizationUpdate) -> Organization:
        return await organizations.update(actor, organization_id, body)

    @made.get(LIMITS, operation_id="list-organization-rate-limits", summary="List what it may use of each model")
    async def list_limits(actor: Acting, organization_id: str) -> Listing[RateLimit]:
        return await limits.list_of_organization(actor, organization_id)

    @made.post(LIMIT, operation_id="update-organization-rate-limit", summary="Change what it may use of a model")
    async def update_limit(actor: Acting, organization_id: str, rate_limit_id: str, body: RateLimitUpdate) -> RateLimit:
        return await limits.update_of_organization(actor, organization_id, rate_limit_id, body)

    @made.delete(LIMIT, operation_id="delete-organization-rate-limit", summary="Return to the numbers of its tier")
    async def delete_limit(actor: Acting, organization_id: str, rate_limit_id: str) -> RateLimitDeleted:
        await limits.delete_of_organization(actor, organization_id, rate_limit_id)
        return RateLimitDeleted(id=rate_limit_id)

    return made
