"""`/v1/organization/roles` and `/v1/projects/{project_id}/roles`: what somebody may do, by name."""

# Annotations are needed while they are made: what they name is local. So they are not postponed here.
from typing import Annotated

from fastapi import APIRouter, Depends

from services.gateway.admin.office import Office
from services.gateway.admin.paging import LongPage
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.admin.scope import scope_of
from services.gateway.peers.admin.roles import Roles
from services.gateway.schema.admin.deleted import RoleDeleted
from services.gateway.schema.admin.lists import NextListing
from services.gateway.schema.admin.roles import Role, RoleCreate, RoleUpdate


def router(office: Office) -> APIRouter:
    """Build the routes of both."""
    made = APIRouter()
    made.include_router(_roles(office, "/v1/organization/roles", "role", in_project=False))
    made.include_router(_roles(office, "/v1/projects/{project_id}/roles", "project-role", in_project=True))
    return made


def _roles(office: Office, prefix: str, noun: str, *, in_project: bool) -> APIRouter:
    roles = Roles(office.authority)
    made = APIRouter(prefix=prefix, tags=["Project roles" if in_project else "Roles"], route_class=AdminRoute)
    scope = scope_of(in_project=in_project)

    @made.get("", operation_id=f"list-{noun}s", summary="List the roles")
    async def list_roles(
        actor: Acting, page: LongPage, project_id: Annotated[str, Depends(scope)]
    ) -> NextListing[Role]:
        return await roles.list(actor, page, project_id)

    @made.post("", operation_id=f"create-{noun}", summary="Make a role")
    async def create_role(actor: Acting, project_id: Annotated[str, Depends(scope)], body: RoleCreate) -> Role:
        return await roles.create(actor, project_id, body)

    @made.get("/{role_id}", operation_id=f"retrieve-{noun}", summary="Show a role")
    async def retrieve_role(actor: Acting, project_id: Annotated[str, Depends(scope)], role_id: str) -> Role:
        return await roles.get(actor, project_id, role_id)

    @made.post("/{role_id}", operation_id=f"update-{noun}", summary="Change a role")
    async def update_role(
        actor: Acting, project_id: Annotated[str, Depends(scope)], role_id: str, body: RoleUpdate
    ) -> Role:
        return await roles.update(actor, project_id, role_id, body)

    @made.delete("/{role_id}", operation_id=f"delete-{noun}", summary="End a role")
    async def delete_role(actor: Acting, project_id: Annotated[str, Depends(scope)], role_id: str) -> RoleDeleted:
        await roles.delete(actor, project_id, role_id)
        return RoleDeleted(id=role_id)

    return made
