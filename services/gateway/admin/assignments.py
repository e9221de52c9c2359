"""`…/users/{user_id}/roles` and `…/groups/{group_id}/roles`: who has which roles, everywhere."""

# Annotations are needed while they are made: what they name is local. So they are not postponed here.
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends

from services.gateway.admin.office import Office
from services.gateway.admin.paging import LongPage
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.groups import Groups
from services.gateway.peers.admin.roles import Holder, Roles
from services.gateway.peers.admin.users import Users
from services.gateway.schema.admin.deleted import AssignmentDeleted
from services.gateway.schema.admin.lists import NextListing
from services.gateway.schema.admin.roles import (
    AssignedGroup,
    AssignedRole,
    GroupAssignment,
    RoleAssign,
    UserAssignment,
)

Place = tuple[str, Holder]
"""A project's id, empty for the organisation, and who has the roles."""


def _user(user_id: str) -> Place:
    return "", Holder("user", user_id)


def _group(group_id: str) -> Place:
    return "", Holder("group", group_id)


def _project_user(project_id: str, user_id: str) -> Place:
    return project_id, Holder("user", user_id)


def _project_group(project_id: str, group_id: str) -> Place:
    return project_id, Holder("group", group_id)


PlaceOf = Callable[..., Place]


def router(office: Office) -> APIRouter:
    """Build the routes of all four."""
    made = APIRouter()
    organization, project = "/v1/organization", "/v1/projects/{project_id}"
    for prefix, noun, place in (
        (f"{organization}/users/{{user_id}}/roles", "user-role", _user),
        (f"{organization}/groups/{{group_id}}/roles", "group-role", _group),
        (f"{project}/users/{{user_id}}/roles", "project-user-role", _project_user),
        (f"{project}/groups/{{group_id}}/roles", "project-group-role", _project_group),
    ):
        routes = APIRouter(prefix=prefix, tags=["Role assignments"], route_class=AdminRoute)
        _add_common(routes, office, noun, place)
        _add_assign(routes, office, noun, place)
        made.include_router(routes)
    return made


def _add_common(routes: APIRouter, office: Office, noun: str, place: PlaceOf) -> None:
    roles = Roles(office.authority)

    @routes.get("", operation_id=f"list-{noun}-assignments", summary="List the roles that somebody has")
    async def list_held(
        actor: Acting, page: LongPage, at: Annotated[Place, Depends(place)]
    ) -> NextListing[AssignedRole]:
        return await roles.held(actor, page, *at)

    @routes.get("/{role_id}", operation_id=f"retrieve-{noun}", summary="Show a role that somebody has")
    async def retrieve_held(actor: Acting, at: Annotated[Place, Depends(place)], role_id: str) -> AssignedRole:
        return await roles.one_held(actor, *at, role_id)

    @routes.delete("/{role_id}", operation_id=f"unassign-{noun}", summary="Take a role from somebody")
    async def unassign(actor: Acting, at: Annotated[Place, Depends(place)], role_id: str) -> AssignmentDeleted:
        await roles.unassign(actor, *at, role_id)
        return AssignmentDeleted(object="user.role.deleted" if at[1].kind == "user" else "group.role.deleted")


def _add_assign(routes: APIRouter, office: Office, noun: str, place: PlaceOf) -> None:
    roles, users, groups = Roles(office.authority), Users(office.authority), Groups(office.authority)

    async def assign_to_user(actor: Acting, at: Annotated[Place, Depends(place)], body: RoleAssign) -> UserAssignment:
        role = await roles.assign(actor, *at, body.role_id)
        return UserAssignment(user=await users.get(actor, at[1].id), role=role)

    async def assign_to_group(actor: Acting, at: Annotated[Place, Depends(place)], body: RoleAssign) -> GroupAssignment:
        role = await roles.assign(actor, *at, body.role_id)
        group = await groups.get(actor, at[1].id)
        told = AssignedGroup(id=group.id, name=group.name, created_at=group.created_at)
        return GroupAssignment(group=told, role=role)

    assign = assign_to_user if place in (_user, _project_user) else assign_to_group
    routes.post("", operation_id=f"assign-{noun}", summary="Give a role to somebody")(assign)
