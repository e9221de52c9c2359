"""`/v1/organization/projects/{project_id}/users`: members of a project."""

from __future__ import annotations

from fastapi import APIRouter

from services.gateway import request_errors
from services.gateway.admin.office import Office
from services.gateway.admin.paging import Page
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.members import Members
from services.gateway.schema.admin.deleted import ProjectUserDeleted
from services.gateway.schema.admin.lists import Listing
from services.gateway.schema.admin.members import ProjectUser, ProjectUserCreate, ProjectUserUpdate


def router(office: Office) -> APIRouter:
    """Build the routes."""
    members = Members(office.authority)
    made = APIRouter(
        prefix="/v1/organization/projects/{project_id}/users", tags=["Project users"], route_class=AdminRoute
    )

    @made.get("", operation_id="list-project-users", summary="List the members of a project")
    async def list_users(actor: Acting, project_id: str, page: Page) -> Listing[ProjectUser]:
        return await members.list(actor, page, project_id)

    @made.post("", operation_id="create-project-user", summary="Make a user a member")
    async def add_user(actor: Acting, project_id: str, body: ProjectUserCreate) -> ProjectUser:
        if body.user_id is None and body.email is None:
            raise request_errors.missing_parameter("user_id")
        return await members.add(actor, project_id, body)

    @made.get("/{user_id}", operation_id="retrieve-project-user", summary="Show a member")
    async def retrieve_user(actor: Acting, project_id: str, user_id: str) -> ProjectUser:
        return await members.get(actor, project_id, user_id)

    @made.post("/{user_id}", operation_id="modify-project-user", summary="Change what a member is")
    async def modify_user(actor: Acting, project_id: str, user_id: str, body: ProjectUserUpdate) -> ProjectUser:
        return await members.update(actor, project_id, user_id, body)

    @made.delete("/{user_id}", operation_id="delete-project-user", summary="End a membership")
    async def remove_user(actor: Acting, project_id: str, user_id: str) -> ProjectUserDeleted:
        await members.remove(actor, project_id, user_id)
        return ProjectUserDeleted(id=user_id)

    return made
