"""Invites: who shall become a user, and becomes one when somebody who may change users accepts it for them."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from capstan.auth.v1 import users_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call, conflict
from services.auth.admin.members import ROLES as PROJECT_ROLES
from services.auth.admin.paging import part
from services.auth.admin.users import ROLES, user
from services.auth.permissions import PREDEFINED
from services.auth.store import not_found
from services.auth.wire import timestamp

GOOD_FOR = timedelta(days=7)
MOST_PROJECTS = 100

_INVITES = """
SELECT i.*, i.accepted_at IS NULL AND i.expires_at <= $2 AS expired, p.projects, p.roles
FROM auth.invites i
CROSS JOIN LATERAL (
    SELECT array_agg(project_id ORDER BY project_id) AS projects, array_agg(role ORDER BY project_id) AS roles
    FROM auth.invite_projects WHERE organization_id = i.organization_id AND invite_id = i.invite_id
) p
WHERE i.organization_id = $1
"""
_INSERT = """
INSERT INTO auth.invites (organization_id, invite_id, email, role, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_INSERT_PROJECT = """
INSERT INTO auth.invite_projects (organization_id, invite_id, project_id, role) VALUES ($1, $2, $3, $4)
"""
_TAKEN = "SELECT 1 FROM auth.users WHERE organization_id = $1 AND lower(email) = lower($2) AND deleted_at IS NULL"
_INSERT_USER = """
INSERT INTO auth.users (organization_id, user_id, email, name, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
"""
_JOIN = """
INSERT INTO auth.project_members (organization_id, project_id, user_id, role, created_at)
SELECT organization_id, project_id, $3, role, $4 FROM auth.invite_projects
WHERE organization_id = $1 AND invite_id = $2
"""
_ACCEPT = "UPDATE auth.invites SET accepted_at = $3, user_id = $4 WHERE organization_id = $1 AND invite_id = $2"
_DELETE = "DELETE FROM auth.invites WHERE organization_id = $1 AND invite_id = $2"


async def list_invites(call: Call, request: pb.ListInvitesRequest) -> pb.ListInvitesResponse:
    """See users.proto."""
    rows, more = await part(call, _INVITES, "i.invite_id", request.page, call.now)
    return pb.ListInvitesResponse(invites=map(_invite, rows), has_more=more)


async def create_invite(call: Call, request: pb.CreateInviteRequest) -> pb.CreateInviteResponse:
    """See users.proto."""
    email = fields.email("email", request.email)
    role = fields.one_of("role", request.role, ROLES)
    projects = {project.id: fields.one_of("projects.role", project.role, PROJECT_ROLES) for project in request.projects}
    if len(request.projects) > MOST_PROJECTS or len(projects) < len(request.projects):
        raise fields.invalid("projects", f"must be at most {MOST_PROJECTS}, each once")
    for project_id in projects:
        await call.project(project_id, active=True)
    _insist(call, role, projects)
    if await call.value(_TAKEN, email) is not None:
        raise conflict("user", email, "a user has this address")
    invite_id = call.ids.new("invite-")
    await call.run(_INSERT, invite_id, email, role, call.now, call.now + GOOD_FOR)
    for project_id, project_role in projects.items():
        await call.run(_INSERT_PROJECT, invite_id, project_id, project_role)
    await call.log("invite.sent", invite_id, data={"email": email, "role": role})
    return pb.CreateInviteResponse(invite=_invite(await _find(call, invite_id)))


async def get_invite(call: Call, request: pb.GetInviteRequest) -> pb.GetInviteResponse:
    """See users.proto."""
    return pb.GetInviteResponse(invite=_invite(await _find(call, request.invite_id)))


async def accept_invite(call: Call, request: pb.AcceptInviteRequest) -> pb.AcceptInviteResponse:
    """See users.proto."""
    invite = await _find(call, request.invite_id, lock=True)
    name = fields.name("name", request.name or invite["email"][:100])
    if invite["accepted_at"] is not None or invite["expired"]:
        raise conflict("invite", request.invite_id, f"the invite is {_status(invite)}")
    _insist(call, invite["role"], dict(zip(invite["projects"] or (), invite["roles"] or (), strict=True)))
    user_id = call.ids.new("user-")
    if not await call.run(_INSERT_USER, user_id, invite["email"], name, invite["role"], call.now):
        raise conflict("user", invite["email"], "a user has this address")
    await call.run(_JOIN, request.invite_id, user_id, call.now)
    await call.run(_ACCEPT, request.invite_id, call.now, user_id)
    await call.log("invite.accepted", request.invite_id, user_id)
    await call.log("user.added", user_id, data={"role": invite["role"]})
    return pb.AcceptInviteResponse(user=await user(call, user_id))


async def delete_invite(call: Call, request: pb.DeleteInviteRequest) -> pb.DeleteInviteResponse:
    """See users.proto."""
    invite = await _find(call, request.invite_id, lock=True)
    if invite["accepted_at"] is not None:
        raise conflict("invite", request.invite_id, "the invite is accepted")
    await call.run(_DELETE, request.invite_id)
    await call.log("invite.deleted", request.invite_id)
    return pb.DeleteInviteResponse()


def _insist(call: Call, role: str, projects: dict[str, str]) -> None:
    call.insist(PREDEFINED[f"role-organization-{role}"])
    for project_id, project_role in projects.items():
        call.insist(PREDEFINED[f"role-project-{project_role}"], project_id)


async def _find(call: Call, invite_id: str, *, lock: bool = False) -> asyncpg.Record:
    found = await call.row(f"{_INVITES} AND i.invite_id = $3 {'FOR UPDATE OF i' if lock else ''}", call.now, invite_id)
    if found is None:
        raise not_found("invite", invite_id)
    return found


def _status(row: asyncpg.Record) -> str:
    if row["accepted_at"] is not None:
        return "accepted"
    return "expired" if row["expired"] else "pending"


def _invite(row: asyncpg.Record) -> pb.Invite:
    return pb.Invite(
        id=row["invite_id"],
        email=row["email"],
        role=row["role"],
        status=_status(row),
        create_time=timestamp(row["created_at"]),
        expire_time=timestamp(row["expires_at"]),
        accept_time=timestamp(row["accepted_at"]),
        projects=[
            pb.InviteProject(id=project_id, role=role)
            for project_id, role in zip(row["projects"] or (), row["roles"] or (), strict=True)
        ],
        user_id=row["user_id"] or "",
    )
