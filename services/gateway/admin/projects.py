"""`/v1/organization/projects`, and the models that a project may use."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.gateway.admin.office import Office
from services.gateway.admin.paging import Page
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.projects import Projects
from services.gateway.schema.admin.lists import Listing
from services.gateway.schema.admin.projects import (
    ModelPermissions,
    ModelPermissionsDeleted,
    ModelPermissionsUpdate,
    Project,
    ProjectCreate,
    ProjectUpdate,
)


def router(office: Office) -> APIRouter:
    """Build the routes."""
    projects = Projects(office.authority)
    made = APIRouter(prefix="/v1/organization/projects", tags=["Projects"], route_class=AdminRoute)

    @made.get("", operation_id="list-projects", summary="List the projects")
    async def list_projects(
        actor: Acting, page: Page, include_archived: Annotated[bool, Query(description="Archived ones too.")] = False
    ) -> Listing[Project]:
        return await projects.list(actor, page, include_archived=include_archived)

    @made.post("", operation_id="create-project", summary="Make a project")
    async def create_project(actor: Acting, body: ProjectCreate) -> Project:
        return await projects.create(actor, body)

    @made.get("/{project_id}", operation_id="retrieve-project", summary="Show a project")
    async def retrieve_project(actor: Acting, project_id: str) -> Project:
        return await projects.get(actor, project_id)

    @made.post("/{project_id}", operation_id="modify-project", summary="Change a project")
    async def modify_project(actor: Acting, project_id: str, body: ProjectUpdate) -> Project:
        return await projects.update(actor, project_id, body)

    @made.post("/{project_id}/archive", operation_id="archive-project", summary="End a project and its keys, for good")
    async def archive_project(actor: Acting, project_id: str) -> Project:
        return await projects.archive(actor, project_id)

    permissions = "/{project_id}/model_permissions"

    @made.get(permissions, operation_id="retrieve-project-model-permissions", summary="Show the models it may use")
    async def retrieve_permissions(actor: Acting, project_id: str) -> ModelPermissions:
        return await projects.permissions(actor, project_id)

    @made.post(permissions, operation_id="update-project-model-permissions", summary="Say which models it may use")
    async def update_permissions(actor: Acting, project_id: str, body: ModelPermissionsUpdate) -> ModelPermissions:
        return await projects.set_permissions(actor, project_id, body)

    @made.delete(permissions, operation_id="delete-project-model-permissions", summary="Let it use all models")
    async def delete_permissions(actor: Acting, project_id: str) -> ModelPermissionsDeleted:
        await projects.clear_permissions(actor, project_id)
        return ModelPermissionsDeleted()

    return made
