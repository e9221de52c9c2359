"""Projects, and which models they may use."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import auth_pb2
from capstan.auth.v1 import projects_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call
from services.auth.admin.paging import part
from services.auth.principals import Policy
from services.auth.wire import POLICIES, timestamp

MOST_MODELS = 1000

_NAMES = {value: name for name, value in POLICIES.items()}
_LIST = "SELECT * FROM auth.projects WHERE organization_id = $1 AND ($2 OR archived_at IS NULL)"
_INSERT = """
INSERT INTO auth.projects (organization_id, project_id, name, moderation_policy, created_at)
VALUES ($1, $2, $3, $4, $5) RETURNING *
"""
_UPDATE = """
UPDATE auth.projects SET name = coalesce($3, name), moderation_policy = coalesce($4, moderation_policy)
WHERE organization_id = $1 AND project_id = $2 RETURNING *
"""
_ARCHIVE = "UPDATE auth.projects SET archived_at = $3 WHERE organization_id = $1 AND project_id = $2 RETURNING *"
_MODELS = """
UPDATE auth.projects SET allowed_models = $3, denied_models = $4, denies_models = $5
WHERE organization_id = $1 AND project_id = $2
"""


async def list_projects(call: Call, request: pb.ListProjectsRequest) -> pb.ListProjectsResponse:
    """See projects.proto."""
    rows, more = await part(call, _LIST, "project_id", request.page, request.include_archived)
    return pb.ListProjectsResponse(projects=map(_project, rows), has_more=more)


async def create_project(call: Call, request: pb.CreateProjectRequest) -> pb.CreateProjectResponse:
    """See projects.proto."""
    name = fields.name("name", request.name)
    policy = _policy(request.moderation_policy) or "off"
    project_id = call.ids.new("proj_")
    row = await call.row(_INSERT, project_id, name, policy, call.now)
    await call.log("project.created", project_id, project_id=project_id, data={"name": name, "title": name})
    return pb.CreateProjectResponse(project=_project(row))


async def get_project(call: Call, request: pb.GetProjectRequest) -> pb.GetProjectResponse:
    """See projects.proto."""
    return pb.GetProjectResponse(project=_project(await call.project(request.project_id)))


async def update_project(call: Call, request: pb.UpdateProjectRequest) -> pb.UpdateProjectResponse:
    """See projects.proto."""
    name = fields.name("name", request.name) if request.HasField("name") else None
    policy = _policy(request.moderation_policy)
    await call.project(request.project_id, active=True)
    row = await call.row(_UPDATE, request.project_id, name, policy)
    changes = {key: value for key, value in (("title", name), ("moderation_policy", policy)) if value is not None}
    await call.log("project.updated", request.project_id, project_id=request.project_id, changes_requested=changes)
    return pb.UpdateProjectResponse(project=_project(row))


async def archive_project(call: Call, request: pb.ArchiveProjectRequest) -> pb.ArchiveProjectResponse:
    """See projects.proto."""
    row: asyncpg.Record | None = await call.project(request.project_id)
    if row is not None and row["archived_at"] is None:
        row = await call.row(_ARCHIVE, request.project_id, call.now)
        await call.log("project.archived", request.project_id, project_id=request.project_id)
    return pb.ArchiveProjectResponse(project=_project(row))


async def get_model_permissions(call: Call, request: pb.GetModelPermissionsRequest) -> pb.GetModelPermissionsResponse:
    """See projects.proto."""
    return pb.GetModelPermissionsResponse(permissions=_permissions(await call.project(request.project_id)))


async def set_model_permissions(call: Call, request: pb.SetModelPermissionsRequest) -> pb.SetModelPermissionsResponse:
    """See projects.proto."""
    mode = fields.one_of("permissions.mode", request.permissions.mode, ("allow_list", "deny_list"))
    models = fields.models("permissions.models", request.permissions.models, MOST_MODELS)
    if mode == "allow_list" and not models:
        raise fields.invalid("permissions.models", "must name a model: a list that allows nothing is not a list")
    await _set_models(call, request.project_id, models if mode == "allow_list" else (), models, mode)
    return pb.SetModelPermissionsResponse(permissions=pb.ModelPermissions(mode=mode, models=models))


async def clear_model_permissions(
    call: Call, request: pb.ClearModelPermissionsRequest
) -> pb.ClearModelPermissionsResponse:
    """See projects.proto."""
    await _set_models(call, request.project_id, (), (), "")
    return pb.ClearModelPermissionsResponse()


async def _set_models(call: Call, project_id: str, allowed: tuple[str, ...], named: tuple[str, ...], mode: str) -> None:
    await call.project(project_id, active=True)
    denies = mode == "deny_list"
    await call.run(_MODELS, project_id, list(allowed), list(named) if denies else [], denies)
    changes = {"model_permissions": {"mode": mode, "model_ids": list(named)} if mode else None}
    await call.log("project.updated", project_id, project_id=project_id, changes_requested=changes)


def _policy(value: auth_pb2.ModerationPolicy.ValueType) -> Policy | None:
    if value == auth_pb2.MODERATION_POLICY_UNSPECIFIED:
        return None
    if value not in _NAMES:
        raise fields.invalid("moderation_policy", "is not known")
    return _NAMES[value]


def _project(row: asyncpg.Record | None) -> pb.Project:
    assert row is not None
    return pb.Project(
        id=row["project_id"],
        name=row["name"],
        create_time=timestamp(row["created_at"]),
        archive_time=timestamp(row["archived_at"]),
        moderation_policy=POLICIES[row["moderation_policy"]],
    )


def _permissions(row: asyncpg.Record) -> pb.ModelPermissions:
    if row["denies_models"]:
        return pb.ModelPermissions(mode="deny_list", models=row["denied_models"])
    return pb.ModelPermissions(mode="allow_list" if row["allowed_models"] else "", models=row["allowed_models"])
