"""Groups in projects: what their users are there."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import groups_pb2 as pb
from services.auth.admin.call import Call
from services.auth.admin.groups import group
from services.auth.admin.paging import part
from services.auth.admin.roles import grants_of, role
from services.auth.store import not_found
from services.auth.wire import timestamp

_LIST = """
SELECT p.project_id, p.group_id, g.name, p.role_id, p.created_at
FROM auth.project_groups p JOIN auth.groups g USING (organization_id, group_id)
WHERE p.organization_id = $1 AND p.project_id = $2
"""
_SET = """
INSERT INTO auth.project_groups (organization_id, project_id, group_id, role_id, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (organization_id, project_id, group_id) DO UPDATE SET role_id = excluded.role_id
"""
_HELD = """
SELECT role_id FROM auth.project_groups WHERE organization_id = $1 AND project_id = $2 AND group_id = $3 FOR UPDATE
"""
_DELETE = "DELETE FROM auth.project_groups WHERE organization_id = $1 AND project_id = $2 AND group_id = $3"


async def list_project_groups(call: Call, request: pb.ListProjectGroupsRequest) -> pb.ListProjectGroupsResponse:
    """See groups.proto."""
    await call.project(request.project_id)
    rows, more = await part(call, _LIST, "p.group_id", request.page, request.project_id)
    return pb.ListProjectGroupsResponse(groups=map(_group, rows), has_more=more)


async def get_project_group(call: Call, request: pb.GetProjectGroupRequest) -> pb.GetProjectGroupResponse:
    """See groups.proto."""
    return pb.GetProjectGroupResponse(group=_group(await _find(call, request.project_id, request.group_id)))


async def add_project_group(call: Call, request: pb.AddProjectGroupRequest) -> pb.AddProjectGroupResponse:
    """See groups.proto."""
    project_id, group_id = request.project_id, request.group_id
    await call.project(project_id, active=True)
    await group(call, group_id, stays=True)
    given = await role(call, project_id, request.role_id, stays=True)
    call.insist(grants_of(given), project_id)
    await _insist_on_held(call, project_id, group_id)
    await call.run(_SET, project_id, group_id, request.role_id, call.now)
    await call.log(
        "role.assignment.created",
        request.role_id,
        group_id,
        project_id=project_id,
        principal_id=group_id,
        principal_type="group",
        resource_id=project_id,
        resource_type="api.project",
    )
    return pb.AddProjectGroupResponse(group=_group(await _find(call, project_id, group_id)))


async def remove_project_group(call: Call, request: pb.RemoveProjectGroupRequest) -> pb.RemoveProjectGroupResponse:
    """See groups.proto."""
    project_id, group_id = request.project_id, request.group_id
    before = await _find(call, project_id, group_id)
    await _insist_on_held(call, project_id, group_id)
    await call.run(_DELETE, project_id, group_id)
    await call.log(
        "role.assignment.deleted",
        before["role_id"],
        group_id,
        project_id=project_id,
        principal_id=group_id,
        principal_type="group",
        resource_id=project_id,
        resource_type="api.project",
    )
    return pb.RemoveProjectGroupResponse()


async def _insist_on_held(call: Call, project_id: str, group_id: str) -> None:
    """Whoever takes a role away has what it permits."""
    held = await call.value(_HELD, project_id, group_id)
    if held is not None:
        call.insist(grants_of(await role(call, project_id, held)), project_id)


async def _find(call: Call, project_id: str, group_id: str) -> asyncpg.Record:
    await call.project(project_id)
    found = await call.row(f"{_LIST} AND p.group_id = $3", project_id, group_id)
    if found is None:
        raise not_found("project group", group_id)
    return found


def _group(row: asyncpg.Record) -> pb.ProjectGroup:
    return pb.ProjectGroup(
        project_id=row["project_id"],
        group_id=row["group_id"],
        group_name=row["name"],
        create_time=timestamp(row["created_at"]),
        role_id=row["role_id"],
    )
