"""`/v1/organization/projects/{project_id}/service_accounts`: users of a project that are no people, and their keys."""

from __future__ import annotations

from fastapi import APIRouter

from services.gateway.admin.office import Office
from services.gateway.admin.paging import Page
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.service_accounts import ServiceAccounts
from services.gateway.schema.admin.deleted import ServiceAccountDeleted
from services.gateway.schema.admin.keys import (
    ServiceAccount,
    ServiceAccountCreate,
    ServiceAccountKey,
    ServiceAccountKeyCreate,
    ServiceAccountUpdate,
    ServiceAccountWithKey,
)
from services.gateway.schema.admin.lists import Listing

ONE = "/{service_account_id}"


def router(office: Office) -> APIRouter:
    """Build the routes."""
    accounts = ServiceAccounts(office.authority, office.clock)
    made = APIRouter(
        prefix="/v1/organization/projects/{project_id}/service_accounts",
        tags=["Service accounts"],
        route_class=AdminRoute,
    )

    @made.get("", operation_id="list-project-service-accounts", summary="List the service accounts of a project")
    async def list_accounts(actor: Acting, project_id: str, page: Page) -> Listing[ServiceAccount]:
        return await accounts.list(actor, page, project_id)

    @made.post("", operation_id="create-project-service-account", summary="Make a service account, and a key for it")
    async def create_account(actor: Acting, project_id: str, body: ServiceAccountCreate) -> ServiceAccountWithKey:
        return await accounts.create(actor, project_id, body)

    @made.get(ONE, operation_id="retrieve-project-service-account", summary="Show a service account")
    async def retrieve_account(actor: Acting, project_id: str, service_account_id: str) -> ServiceAccount:
        return await accounts.get(actor, project_id, service_account_id)

    @made.post(ONE, operation_id="update-project-service-account", summary="Change a service account")
    async def update_account(
        actor: Acting, project_id: str, service_account_id: str, body: ServiceAccountUpdate
    ) -> ServiceAccount:
        return await accounts.update(actor, project_id, service_account_id, body)

    @made.delete(ONE, operation_id="delete-project-service-account", summary="End a service account and its keys")
    async def delete_account(actor: Acting, project_id: str, service_account_id: str) -> ServiceAccountDeleted:
        await accounts.delete(actor, project_id, service_account_id)
        return ServiceAccountDeleted(id=service_account_id)

    @made.post(
        f"{ONE}/api_keys", operation_id="CreateanAPIkeyforaserviceaccount", summary="Make a further key of an account"
    )
    async def create_key(
        actor: Acting, project_id: str, service_account_id: str, body: ServiceAccountKeyCreate
    ) -> ServiceAccountKey:
        return await accounts.create_key(actor, project_id, service_account_id, body)

    return made
