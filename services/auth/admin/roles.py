"""Roles of organisations and of projects."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import roles_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call, conflict
from services.auth.admin.paging import part
from services.auth.permissions import ADMINISTRATIVE, NOTHING, PREDEFINED, Grants
from services.auth.store import not_found
from services.auth.wire import timestamp

# A role of an organisation is not one of its projects, and predefined ones of projects are of each.
_ROLES = """
SELECT * FROM auth.roles WHERE organization_id = $1
AND CASE WHEN $2 = '' THEN resource_type = 'api.organization'
         ELSE resource_type = 'api.project' AND (predefined OR project_id = $2) END
"""
_INSERT = """
INSERT INTO auth.roles (organization_id, role_id, project_id, name, description, permissions, resource_type, created_at,
                        updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING *
"""
_UPDATE = """
UPDATE auth.roles SET name = $3, description = $4, permissions = $5, updated_at = $6
WHERE organization_id = $1 AND role_id = $2 RETURNING *
"""
_DELETE = "DELETE FROM auth.roles WHERE organization_id = $1 AND role_id = $2"


async def list_roles(call: Call, request: pb.ListRolesRequest) -> pb.ListRolesResponse:
    """See roles.proto."""
    if request.project_id:
        await call.project(request.project_id)
    rows, more = await part(call, _ROLES, "role_id", request.page, request.project_id)
    return pb.ListRolesResponse(roles=map(message, rows), has_more=more)


async def create_role(call: Call, request: pb.CreateRoleRequest) -> pb.CreateRoleResponse:
    """See roles.proto."""
    name = fields.name("name", request.name)
    description = fields.description("description", request.description)
    permissions = fields.permissions("permissions", request.permissions)
    project_id = request.project_id or None
    if project_id:
        await call.project(project_id, active=True)
    call.insist(Grants(names=frozenset(permissions)), request.project_id)
    role_id, kind = call.ids.new("role-"), "api.project" if project_id else "api.organization"
    try:
        row = await call.row(_INSERT, role_id, project_id, name, description, list(permissions), kind, call.now)
    except asyncpg.UniqueViolationError:
        raise conflict("role", name, "a role has this name") from None
    await call.log(
        "role.created",
        role_id,
        project_id=project_id,
        role_name=name,
        permissions=list(permissions),
        resource_type=kind,
        resource_id=project_id or call.organization_id,
    )
    return pb.CreateRoleResponse(role=message(row))


async def get_role(call: Call, request: pb.GetRoleRequest) -> pb.GetRoleResponse:
    """See roles.proto."""
    return pb.GetRoleResponse(role=message(await role(call, request.project_id, request.role_id)))


async def update_role(call: Call, request: pb.UpdateRoleRequest) -> pb.UpdateRoleResponse:
    """See roles.proto."""
    before = await _own(call, request.project_id, request.role_id)
    name = fields.name("name", request.name) if request.HasField("name") else before["name"]
    held = before["description"]
    description = fields.description("description", request.description) if request.HasField("description") else held
    given = request.permissions or before["permissions"]
    permissions = fields.permissions("permissions", given)
    call.insist(Grants(names=frozenset(permissions) | frozenset(before["permissions"])), request.project_id)
    try:
        row = await call.row(_UPDATE, request.role_id, name, description, list(permissions), call.now)
    except asyncpg.UniqueViolationError:
        raise conflict("role", name, "a role has this name") from None
    changes = {
        "role_name": name,
        "description": description,
        "permissions_added": sorted(set(permissions) - set(before["permissions"])),
        "permissions_removed": sorted(set(before["permissions"]) - set(permissions)),
    }
    await call.log("role.updated", request.role_id, project_id=request.project_id or None, changes_requested=changes)
    return pb.UpdateRoleResponse(role=message(row))


async def delete_role(call: Call, request: pb.DeleteRoleRequest) -> pb.DeleteRoleResponse:
    """See roles.proto."""
    before = await _own(call, request.project_id, request.role_id)
    call.insist(grants_of(before), request.project_id)
    await call.run(_DELETE, request.role_id)
    await call.log("role.deleted", request.role_id, project_id=request.project_id or None)
    return pb.DeleteRoleResponse()


async def role(call: Call, project_id: str, role_id: str, *, stays: bool = False) -> asyncpg.Record:
    """Answer a role that can be given in a project, or in the organisation; `stays` as for groups.

    Raises OBJECT_NOT_FOUND.
    """
    if project_id:
        await call.project(project_id)
    lock = "FOR SHARE" if stays else ""
    found = await call.row(f"{_ROLES} AND role_id = $3 {lock}", project_id, role_id)
    if found is None:
        raise not_found("role", role_id)
    return found


def grants_of(row: asyncpg.Record) -> Grants:
    """Answer what a role permits; one that only a newer release knows could be everything."""
    if row["predefined"]:
        return PREDEFINED.get(row["role_id"], Grants(everything=True))
    return Grants(names=frozenset(row["permissions"]))


def message(row: asyncpg.Record | None) -> pb.Role:
    """Turn a row into a message."""
    assert row is not None
    return pb.Role(
        id=row["role_id"],
        name=row["name"],
        description=row["description"],
        permissions=_shown(row),
        resource_type=row["resource_type"],
        predefined=row["predefined"],
        create_time=timestamp(row["created_at"]),
        update_time=timestamp(row["updated_at"]),
        project_id=row["project_id"] or "",
    )


def _shown(row: asyncpg.Record) -> list[str]:
    """List what a role permits; of a predefined one, of the permissions that are known here."""
    if not row["predefined"]:
        return list(row["permissions"])
    grants = PREDEFINED.get(row["role_id"], NOTHING)
    return sorted(filter(grants.cover, ADMINISTRATIVE)) + (["model.request"] if grants.usable else [])


async def _own(call: Call, project_id: str, role_id: str) -> asyncpg.Record:
    """Answer a role that was made here. Raises OBJECT_NOT_FOUND, OBJECT_CONFLICT for predefined ones."""
    found = await role(call, project_id, role_id, stays=True)
    if found["predefined"]:
        raise conflict("role", role_id, "the role is predefined")
    return found
