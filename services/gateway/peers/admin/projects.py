"""Projects, and the models they may use."""

from __future__ import annotations

from typing import Any, get_args

from capstan.auth.v1 import auth_pb2, projects_pb2
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.authority import Authority, acting, page, seconds
from services.gateway.schema.admin.lists import Listing, listing
from services.gateway.schema.admin.projects import (
    ModelPermissions,
    ModelPermissionsUpdate,
    ModerationPolicy,
    Project,
    ProjectCreate,
    ProjectUpdate,
)

_POLICIES: dict[ModerationPolicy, auth_pb2.ModerationPolicy.ValueType] = {
    "off": auth_pb2.MODERATION_POLICY_OFF,
    "advisory": auth_pb2.MODERATION_POLICY_ADVISORY,
    "required": auth_pb2.MODERATION_POLICY_REQUIRED,
}
_NAMES = {number: name for name, number in _POLICIES.items()}
assert set(_POLICIES) == set(get_args(ModerationPolicy))


class Projects:
    """Auth's projects. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted, *, include_archived: bool) -> Listing[Project]:
        """Answer a page, oldest first."""
        request = projects_pb2.ListProjectsRequest(
            actor=acting(actor), page=page(wanted), include_archived=include_archived
        )
        answer: projects_pb2.ListProjectsResponse = await self._at.ask(self._at.stub.ListProjects, request)
        return listing([_project(project) for project in answer.projects], has_more=answer.has_more)

    async def create(self, actor: Actor, wish: ProjectCreate) -> Project:
        """Make one."""
        request = projects_pb2.CreateProjectRequest(
            actor=acting(actor), name=wish.name, moderation_policy=_policy(wish.moderation_policy)
        )
        return _project((await self._at.ask(self._at.stub.CreateProject, request)).project)

    async def get(self, actor: Actor, project_id: str) -> Project:
        """Answer one."""
        request = projects_pb2.GetProjectRequest(actor=acting(actor), project_id=project_id)
        return _project((await self._at.ask(self._at.stub.GetProject, request)).project)

    async def update(self, actor: Actor, project_id: str, wish: ProjectUpdate) -> Project:
        """Change one."""
        request = projects_pb2.UpdateProjectRequest(
            actor=acting(actor),
            project_id=project_id,
            name=wish.name,
            moderation_policy=_policy(wish.moderation_policy),
        )
        return _project((await self._at.ask(self._at.stub.UpdateProject, request)).project)

    async def archive(self, actor: Actor, project_id: str) -> Project:
        """End one, and with it its keys."""
        request = projects_pb2.ArchiveProjectRequest(actor=acting(actor), project_id=project_id)
        return _project((await self._at.ask(self._at.stub.ArchiveProject, request)).project)

    async def permissions(self, actor: Actor, project_id: str) -> ModelPermissions:
        """Answer which models one may use."""
        request = projects_pb2.GetModelPermissionsRequest(actor=acting(actor), project_id=project_id)
        return _permissions((await self._at.ask(self._at.stub.GetModelPermissions, request)).permissions)

    async def set_permissions(self, actor: Actor, project_id: str, wish: ModelPermissionsUpdate) -> ModelPermissions:
        """Say which models one may use."""
        request = projects_pb2.SetModelPermissionsRequest(
            actor=acting(actor),
            project_id=project_id,
            permissions=projects_pb2.ModelPermissions(mode=wish.mode, models=wish.model_ids),
        )
        return _permissions((await self._at.ask(self._at.stub.SetModelPermissions, request)).permissions)

    async def clear_permissions(self, actor: Actor, project_id: str) -> None:
        """Let one use all models."""
        request = projects_pb2.ClearModelPermissionsRequest(actor=acting(actor), project_id=project_id)
        await self._at.ask(self._at.stub.ClearModelPermissions, request)


def _policy(name: ModerationPolicy | None) -> auth_pb2.ModerationPolicy.ValueType:
    return auth_pb2.MODERATION_POLICY_UNSPECIFIED if name is None else _POLICIES[name]


def _project(message: projects_pb2.Project) -> Project:
    archived_at = seconds(message, "archive_time")
    return Project(
        id=message.id,
        name=message.name,
        created_at=message.create_time.seconds,
        archived_at=archived_at,
        status="active" if archived_at is None else "archived",
        moderation_policy=_NAMES.get(message.moderation_policy, "off"),
    )


def _permissions(message: projects_pb2.ModelPermissions) -> ModelPermissions:
    mode: Any = message.mode or "deny_list"
    return ModelPermissions(mode=mode, model_ids=list(message.models))
