"""`/v1/organization/invites`: who shall become a user."""

from __future__ import annotations

from fastapi import APIRouter

from services.gateway.admin.office import Office
from services.gateway.admin.paging import Page
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.users import Invites
from services.gateway.schema.admin.deleted import InviteDeleted
from services.gateway.schema.admin.lists import Listing
from services.gateway.schema.admin.users import Invite, InviteAccept, InviteCreate, User


def router(office: Office) -> APIRouter:
    """Build the routes."""
    invites = Invites(office.authority)
    made = APIRouter(prefix="/v1/organization/invites", tags=["Invites"], route_class=AdminRoute)

    @made.get("", operation_id="list-invites", summary="List the invites")
    async def list_invites(actor: Acting, page: Page) -> Listing[Invite]:
        return await invites.list(actor, page)

    @made.post("", operation_id="inviteUser", summary="Invite somebody")
    async def create_invite(actor: Acting, body: InviteCreate) -> Invite:
        return await invites.create(actor, body)

    @made.get("/{invite_id}", operation_id="retrieve-invite", summary="Show an invite")
    async def retrieve_invite(actor: Acting, invite_id: str) -> Invite:
        return await invites.get(actor, invite_id)

    @made.post("/{invite_id}/accept", operation_id="accept-invite", summary="Make a user of it (Capstan's own)")
    async def accept_invite(actor: Acting, invite_id: str, body: InviteAccept) -> User:
        return await invites.accept(actor, invite_id, body)

    @made.delete("/{invite_id}", operation_id="delete-invite", summary="Take an invite back")
    async def delete_invite(actor: Acting, invite_id: str) -> InviteDeleted:
        await invites.delete(actor, invite_id)
        return InviteDeleted(id=invite_id)

    return made
