"""`/v1/organization/projects/{project_id}/api_keys`: keys of a project.

Making one for a user and following one up are Capstan's own: where OpenAI has a web page for it, there is none here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from services.gateway.admin.office import Office
from services.gateway.admin.paging import Page
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.keys import ProjectKeys
from services.gateway.schema.admin.deleted import ProjectKeyDeleted
from services.gateway.schema.admin.keys import (
    ProjectKey,
    ProjectKeyCreate,
    ProjectKeyRotate,
    ProjectKeyUpdate,
    ProjectKeyWithValue,
)
from services.gateway.schema.admin.lists import Listing

ONE = "/{api_key_id}"
OwnerAccess = Annotated[
    Literal["active", "inactive", "any"], Query(description="Whether the owner may use the project now.")
]


def router(office: Office) -> APIRouter:
    """Build the routes."""
    keys = ProjectKeys(office.authority, office.clock)
    made = APIRouter(
        prefix="/v1/organization/projects/{project_id}/api_keys", tags=["Project keys"], route_class=AdminRoute
    )

    @made.get("", operation_id="list-project-api-keys", summary="List the keys of a project")
    async def list_keys(
        actor: Acting, project_id: str, page: Page, owner_project_access: OwnerAccess = "any"
    ) -> Listing[ProjectKey]:
        return await keys.list(actor, page, project_id, owner_access=owner_project_access)

    @made.post("", operation_id="create-project-api-key", summary="Make a key for a user (Capstan's own)")
    async def create_key(actor: Acting, project_id: str, body: ProjectKeyCreate) -> ProjectKeyWithValue:
        return await keys.create(actor, project_id, body)

    @made.get(ONE, operation_id="retrieve-project-api-key", summary="Show a key")
    async def retrieve_key(actor: Acting, project_id: str, api_key_id: str) -> ProjectKey:
        return await keys.get(actor, project_id, api_key_id)

    @made.post(ONE, operation_id="update-project-api-key", summary="Change what a key may do")
    async def update_key(actor: Acting, project_id: str, api_key_id: str, body: ProjectKeyUpdate) -> ProjectKey:
        return await keys.update(actor, project_id, api_key_id, body)

    @made.post(
        f"{ONE}/rotate", operation_id="rotate-project-api-key", summary="Follow a key up by a new one (Capstan's own)"
    )
    async def rotate_key(
        actor: Acting, project_id: str, api_key_id: str, body: ProjectKeyRotate
    ) -> ProjectKeyWithValue:
        return await keys.rotate(actor, project_id, api_key_id, body)

    @made.delete(ONE, operation_id="delete-project-api-key", summary="End a key at once")
    async def delete_key(actor: Acting, project_id: str, api_key_id: str) -> ProjectKeyDeleted:
        await keys.delete(actor, project_id, api_key_id)
        return ProjectKeyDeleted(id=api_key_id)

    return made
