"""`/v1/organization/users`: people."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.gateway.admin.office import Office
from services.gateway.admin.paging import Page
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.users import Users
from services.gateway.schema.admin.deleted import UserDeleted
from services.gateway.schema.admin.lists import Listing
from services.gateway.schema.admin.users import User, UserUpdate

Emails = Annotated[list[str], Query(max_length=100, description="Only users with one of these addresses.")]


def router(office: Office) -> APIRouter:
    """Build the routes."""
    users = Users(office.authority)
    made = APIRouter(prefix="/v1/organization/users", tags=["Users"], route_class=AdminRoute)

    @made.get("", operation_id="list-users", summary="List the users")
    async def list_users(actor: Acting, page: Page, emails: Emails = []) -> Listing[User]:  # noqa: B006 - never changed
        return await users.list(actor, page, emails)

    @made.get("/{user_id}", operation_id="retrieve-user", summary="Show a user")
    async def retrieve_user(actor: Acting, user_id: str) -> User:
        return await users.get(actor, user_id)

    @made.post("/{user_id}", operation_id="modify-user", summary="Change a user")
    async def modify_user(actor: Acting, user_id: str, body: UserUpdate) -> User:
        return await users.update(actor, user_id, body)

    @made.delete("/{user_id}", operation_id="delete-user", summary="Take a user out, and end their keys")
    async def delete_user(actor: Acting, user_id: str) -> UserDeleted:
        await users.delete(actor, user_id)
        return UserDeleted(id=user_id)

    return made
