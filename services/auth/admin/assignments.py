"""Who has which role."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import roles_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call
from services.auth.admin.groups import group
from services.auth.admin.paging import part
from services.auth.admin.roles import grants_of, message, role
from services.auth.store import not_found
from services.auth.wire import timestamp

_LIST = """
SELECT r.*, a.created_at AS assigned_at
FROM auth.role_assignments a JOIN auth.roles r USING (organization_id, role_id)
WHERE a.organization_id = $1 AND a.project_id IS NOT DISTINCT FROM $2
AND a.user_id IS NOT DISTINCT FROM $3 AND a.group_id IS NOT DISTINCT FROM $4
"""
_INSERT = """
INSERT INTO auth.role_assignments (organization_id, project_id, user_id, group_id, role_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
"""
_DELETE = """
DELETE FROM auth.role_assignments
WHERE organization_id = $1 AND project_id IS NOT DISTINCT FROM $2 AND user_id IS NOT DISTINCT FROM $3
AND group_id IS NOT DISTINCT FROM $4 AND role_id = $5
"""
_USER = "SELECT 1 FROM auth.users WHERE organization_id = $1 AND user_id = $2 AND deleted_at IS NULL FOR SHARE"

Where = tuple[str | None, str | None, str | None]
"""Project, user and group."""


async def list_role_assignments(call: Call, request: pb.ListRoleAssignmentsRequest) -> pb.ListRoleAssignmentsResponse:
    """See roles.proto."""
    where = await _where(call, request.project_id, request.grantee)
    rows, more = await part(call, _LIST, "r.role_id", request.page, *where)
    return pb.ListRoleAssignmentsResponse(
        assignments=[_assignment(row, request.grantee) for row in rows], has_more=more
    )


async def get_role_assignment(call: Call, request: pb.GetRoleAssignmentRequest) -> pb.GetRoleAssignmentResponse:
    """See roles.proto."""
    where = await _where(call, request.project_id, request.grantee)
    return pb.GetRoleAssignmentResponse(assignment=await _find(call, where, request.grantee, request.role_id))


async def assign_role(call: Call, request: pb.AssignRoleRequest) -> pb.AssignRoleResponse:
    """See roles.proto."""
    where = await _where(call, request.project_id, request.grantee)
    given = await role(call, request.project_id, request.role_id, stays=True)
    call.insist(grants_of(given), request.project_id)
    if await call.run(_INSERT, *where, request.role_id, call.now):
        await _log(call, "role.assignment.created", where, request.role_id)
    return pb.AssignRoleResponse(assignment=await _find(call, where, request.grantee, request.role_id))


async def unassign_role(call: Call, request: pb.UnassignRoleRequest) -> pb.UnassignRoleResponse:
    """See roles.proto."""
    where = await _where(call, request.project_id, request.grantee)
    await _find(call, where, request.grantee, request.role_id)
    call.insist(grants_of(await role(call, request.project_id, request.role_id)), request.project_id)
    await call.run(_DELETE, *where, request.role_id)
    await _log(call, "role.assignment.deleted", where, request.role_id)
    return pb.UnassignRoleResponse()


async def _where(call: Call, project_id: str, grantee: pb.Grantee) -> Where:
    if bool(grantee.user_id) == bool(grantee.group_id):
        raise fields.invalid("grantee", "must be a user or a group")
    if project_id:
        await call.project(project_id)
    if grantee.group_id:
        await group(call, grantee.group_id, stays=True)
    elif await call.value(_USER, grantee.user_id) is None:
        raise not_found("user", grantee.user_id)
    return project_id or None, grantee.user_id or None, grantee.group_id or None


async def _find(call: Call, where: Where, grantee: pb.Grantee, role_id: str) -> pb.RoleAssignment:
    found = await call.row(f"{_LIST} AND a.role_id = $5", *where, role_id)
    if found is None:
        raise not_found("role assignment", role_id)
    return _assignment(found, grantee)


async def _log(call: Call, action: str, where: Where, role_id: str) -> None:
    project_id, user_id, group_id = where
    principal = user_id or group_id or ""
    await call.log(
        action,
        role_id,
        principal,
        project_id=project_id,
        principal_id=principal,
        principal_type="user" if user_id else "group",
        resource_id=project_id or call.organization_id,
        resource_type="api.project" if project_id else "api.organization",
    )


def _assignment(row: asyncpg.Record, grantee: pb.Grantee) -> pb.RoleAssignment:
    return pb.RoleAssignment(role=message(row), grantee=grantee, create_time=timestamp(row["assigned_at"]))
