"""`/v1/organization/admin_api_keys`: keys of the administration."""

from __future__ import annotations

from fastapi import APIRouter

from services.gateway.admin.office import Office
from services.gateway.admin.paging import OrderedPage
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.keys import AdminKeys
from services.gateway.schema.admin.deleted import AdminKeyDeleted
from services.gateway.schema.admin.keys import AdminKey, AdminKeyCreate, AdminKeyWithValue
from services.gateway.schema.admin.lists import Listing


def router(office: Office) -> APIRouter:
    """Build the routes."""
    keys = AdminKeys(office.authority, office.clock)
    made = APIRouter(prefix="/v1/organization/admin_api_keys", tags=["Admin keys"], route_class=AdminRoute)

    @made.get("", operation_id="admin-api-keys-list", summary="List the admin keys")
    async def list_keys(actor: Acting, page: OrderedPage) -> Listing[AdminKey]:
        return await keys.list(actor, page)

    @made.post("", operation_id="admin-api-keys-create", summary="Make an admin key")
    async def create_key(actor: Acting, body: AdminKeyCreate) -> AdminKeyWithValue:
        return await keys.create(actor, body)

    @made.get("/{key_id}", operation_id="admin-api-keys-get", summary="Show an admin key")
    async def retrieve_key(actor: Acting, key_id: str) -> AdminKey:
        return await keys.get(actor, key_id)

    @made.delete("/{key_id}", operation_id="admin-api-keys-delete", summary="End an admin key at once")
    async def delete_key(actor: Acting, key_id: str) -> AdminKeyDeleted:
        await keys.delete(actor, key_id)
        return AdminKeyDeleted(id=key_id)

    return made
