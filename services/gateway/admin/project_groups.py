"""`/v1/organization/projects/{project_id}/groups`: groups in a project."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from services.gateway.admin.office import Office
from services.gateway.admin.paging import OrderedPage
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.groups import ProjectGroups
from services.gateway.schema.admin.deleted import ProjectGroupDeleted
from services.gateway.schema.admin.groups import ProjectGroup, ProjectGroupAdd
from services.gateway.schema.admin.lists import NextListing

GroupType = Annotated[Literal["group"], Query(description="There is one type.")]


def router(office: Office) -> APIRouter:
    """Build the routes."""
    groups = ProjectGroups(office.authority)
    made = APIRouter(
        prefix="/v1/organization/projects/{project_id}/groups", tags=["Project groups"], route_class=AdminRoute
    )

    @made.get("", operation_id="list-project-groups", summary="List the groups of a project")
    async def list_groups(actor: Acting, project_id: str, page: OrderedPage) -> NextListing[ProjectGroup]:
        return await groups.list(actor, page, project_id)

    @made.post("", operation_id="add-project-group", summary="Put a group into a project")
    async def add_group(actor: Acting, project_id: str, body: ProjectGroupAdd) -> ProjectGroup:
        return await groups.add(actor, project_id, body)

    @made.get("/{group_id}", operation_id="retrieve-project-group", summary="Show a group of a project")
    async def retrieve_group(
        actor: Acting, project_id: str, group_id: str, group_type: GroupType = "group"
    ) -> ProjectGroup:
        return await groups.get(actor, project_id, group_id)

    @made.delete("/{group_id}", operation_id="remove-project-group", summary="Take a group out of a project")
    async def remove_group(actor: Acting, project_id: str, group_id: str) -> ProjectGroupDeleted:
        await groups.remove(actor, project_id, group_id)
        return ProjectGroupDeleted()

    return made
