"""`/v1/organization/groups`: groups of users."""

from __future__ import annotations

from fastapi import APIRouter

from services.gateway.admin.office import Office
from services.gateway.admin.paging import LongPage
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.groups import Groups
from services.gateway.schema.admin.deleted import GroupDeleted, GroupUserDeleted
from services.gateway.schema.admin.groups import (
    Group,
    GroupMembership,
    GroupRenamed,
    GroupUser,
    GroupUserAdd,
    GroupUserDetails,
    GroupWrite,
)
from services.gateway.schema.admin.lists import NextListing

ONE, USERS, USER = "/{group_id}", "/{group_id}/users", "/{group_id}/users/{user_id}"


def router(office: Office) -> APIRouter:
    """Build the routes."""
    groups = Groups(office.authority)
    made = APIRouter(prefix="/v1/organization/groups", tags=["Groups"], route_class=AdminRoute)

    @made.get("", operation_id="list-groups", summary="List the groups")
    async def list_groups(actor: Acting, page: LongPage) -> NextListing[Group]:
        return await groups.list(actor, page)

    @made.post("", operation_id="create-group", summary="Make a group")
    async def create_group(actor: Acting, body: GroupWrite) -> Group:
        return await groups.create(actor, body.name)

    @made.get(ONE, operation_id="retrieve-group", summary="Show a group")
    async def retrieve_group(actor: Acting, group_id: str) -> Group:
        return await groups.get(actor, group_id)

    @made.post(ONE, operation_id="update-group", summary="Rename a group")
    async def update_group(actor: Acting, group_id: str, body: GroupWrite) -> GroupRenamed:
        return await groups.rename(actor, group_id, body.name)

    @made.delete(ONE, operation_id="delete-group", summary="End a group")
    async def delete_group(actor: Acting, group_id: str) -> GroupDeleted:
        await groups.delete(actor, group_id)
        return GroupDeleted(id=group_id)

    @made.get(USERS, operation_id="list-group-users", summary="List the users of a group")
    async def list_users(actor: Acting, group_id: str, page: LongPage) -> NextListing[GroupUser]:
        return await groups.users(actor, page, group_id)

    @made.post(USERS, operation_id="add-group-user", summary="Put a user into a group")
    async def add_user(actor: Acting, group_id: str, body: GroupUserAdd) -> GroupMembership:
        return await groups.add(actor, group_id, body.user_id)

    @made.get(USER, operation_id="retrieve-group-user", summary="Show a user of a group")
    async def retrieve_user(actor: Acting, group_id: str, user_id: str) -> GroupUserDetails:
        return await groups.user(actor, group_id, user_id)

    @made.delete(USER, operation_id="remove-group-user", summary="Take a user out of a group")
    async def remove_user(actor: Acting, group_id: str, user_id: str) -> GroupUserDeleted:
        await groups.remove(actor, group_id, user_id)
        return GroupUserDeleted()

    return made
