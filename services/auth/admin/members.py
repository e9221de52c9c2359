"""Users as members of projects."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import members_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call, conflict
from services.auth.admin.paging import part
from services.auth.permissions import PREDEFINED
from services.auth.store import not_found
from services.auth.wire import timestamp

ROLES = ("owner", "member")

_LIST = """
SELECT m.user_id, u.email, u.name, m.role, m.created_at
FROM auth.project_members m JOIN auth.users u USING (organization_id, user_id)
WHERE m.organization_id = $1 AND m.project_id = $2 AND u.deleted_at IS NULL
"""
_BY_ADDRESS = """
SELECT user_id FROM auth.users WHERE organization_id = $1 AND lower(email) = lower($2) AND deleted_at IS NULL
"""
_INSERT = """
INSERT INTO auth.project_members (organization_id, project_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
_UPDATE = "UPDATE auth.project_members SET role = $4 WHERE organization_id = $1 AND project_id = $2 AND user_id = $3"
_DELETE = "DELETE FROM auth.project_members WHERE organization_id = $1 AND project_id = $2 AND user_id = $3"


async def list_project_users(call: Call, request: pb.ListProjectUsersRequest) -> pb.ListProjectUsersResponse:
    """See members.proto."""
    await call.project(request.project_id)
    rows, more = await part(call, _LIST, "m.user_id", request.page, request.project_id)
    return pb.ListProjectUsersResponse(users=map(_user, rows), has_more=more)


async def add_project_user(call: Call, request: pb.AddProjectUserRequest) -> pb.AddProjectUserResponse:
    """See members.proto."""
    role = fields.one_of("role", request.role, ROLES)
    project_id = request.project_id
    await call.project(project_id, active=True)
    user_id = request.user_id
    if not user_id:
        user_id = await call.value(_BY_ADDRESS, fields.email("email", request.email))
        if user_id is None:
            raise not_found("user", request.email)
    await call.user(user_id)
    call.insist(PREDEFINED[f"role-project-{role}"], project_id)
    if not await call.run(_INSERT, project_id, user_id, role, call.now):
        raise conflict("project user", user_id, "the user is a member already")
    await call.log("user.added", user_id, project_id=project_id, data={"role": role})
    return pb.AddProjectUserResponse(user=_user(await _member(call, project_id, user_id)))


async def get_project_user(call: Call, request: pb.GetProjectUserRequest) -> pb.GetProjectUserResponse:
    """See members.proto."""
    return pb.GetProjectUserResponse(user=_user(await _member(call, request.project_id, request.user_id)))


async def update_project_user(call: Call, request: pb.UpdateProjectUserRequest) -> pb.UpdateProjectUserResponse:
    """See members.proto."""
    role = fields.one_of("role", request.role, ROLES)
    project_id, user_id = request.project_id, request.user_id
    before = await _member(call, project_id, user_id)
    for either in (role, before["role"]):
        call.insist(PREDEFINED[f"role-project-{either}"], project_id)
    await call.run(_UPDATE, project_id, user_id, role)
    await call.log("user.updated", user_id, project_id=project_id, changes_requested={"role": role})
    return pb.UpdateProjectUserResponse(user=_user(await _member(call, project_id, user_id)))


async def remove_project_user(call: Call, request: pb.RemoveProjectUserRequest) -> pb.RemoveProjectUserResponse:
    """See members.proto."""
    project_id, user_id = request.project_id, request.user_id
    before = await _member(call, project_id, user_id)
    call.insist(PREDEFINED[f"role-project-{before['role']}"], project_id)
    await call.run(_DELETE, project_id, user_id)
    await call.log("user.deleted", user_id, project_id=project_id)
    return pb.RemoveProjectUserResponse()


async def _member(call: Call, project_id: str, user_id: str) -> asyncpg.Record:
    await call.project(project_id)
    found = await call.row(f"{_LIST} AND m.user_id = $3", project_id, user_id)
    if found is None:
        raise not_found("project user", user_id)
    return found


def _user(row: asyncpg.Record) -> pb.ProjectUser:
    return pb.ProjectUser(
        id=row["user_id"],
        email=row["email"] or "",
        name=row["name"],
        role=row["role"],
        create_time=timestamp(row["created_at"]),
    )
