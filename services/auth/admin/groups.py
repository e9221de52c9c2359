"""Groups of users."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from capstan.auth.v1 import groups_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call, rights
from services.auth.admin.paging import part
from services.auth.store import not_found
from services.auth.wire import timestamp

_GROUPS = """
SELECT g.*, (
    SELECT count(*) FROM auth.group_members m JOIN auth.users u USING (organization_id, user_id)
    WHERE m.organization_id = g.organization_id AND m.group_id = g.group_id AND u.deleted_at IS NULL
) AS members
FROM auth.groups g WHERE g.organization_id = $1
"""
_INSERT = "INSERT INTO auth.groups (organization_id, group_id, name, created_at) VALUES ($1, $2, $3, $4)"
_UPDATE = "UPDATE auth.groups SET name = $3 WHERE organization_id = $1 AND group_id = $2"
_DELETE = "DELETE FROM auth.groups WHERE organization_id = $1 AND group_id = $2"
_MEMBERS = """
SELECT u.user_id, u.email, u.name, u.role FROM auth.group_members m JOIN auth.users u USING (organization_id, user_id)
WHERE m.organization_id = $1 AND m.group_id = $2 AND u.deleted_at IS NULL
"""
_MEMBER = "SELECT 1 FROM auth.users WHERE organization_id = $1 AND user_id = $2 AND deleted_at IS NULL FOR SHARE"
_ADD = """
INSERT INTO auth.group_members (organization_id, group_id, user_id, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
"""
_REMOVE = "DELETE FROM auth.group_members WHERE organization_id = $1 AND group_id = $2 AND user_id = $3"
# As the view `auth.grants`, for the group instead of its users.
_GRANTS = """
SELECT project_id, array_agg(DISTINCT word) AS words FROM (
    SELECT a.project_id, unnest(CASE WHEN r.predefined THEN ARRAY[r.role_id] ELSE r.permissions END) AS word
    FROM auth.role_assignments a JOIN auth.roles r USING (organization_id, role_id)
    WHERE a.organization_id = $1 AND a.group_id = $2
    UNION ALL
    SELECT g.project_id, unnest(CASE WHEN r.predefined THEN ARRAY[r.role_id] ELSE r.permissions END)
    FROM auth.project_groups g JOIN auth.roles r USING (organization_id, role_id)
    WHERE g.organization_id = $1 AND g.group_id = $2
) granted GROUP BY project_id
"""


async def list_groups(call: Call, request: pb.ListGroupsRequest) -> pb.ListGroupsResponse:
    """See groups.proto."""
    rows, more = await part(call, _GROUPS, "g.group_id", request.page)
    return pb.ListGroupsResponse(groups=map(_group, rows), has_more=more)


async def create_group(call: Call, request: pb.CreateGroupRequest) -> pb.CreateGroupResponse:
    """See groups.proto."""
    name = fields.name("name", request.name)
    group_id = call.ids.new("group_")
    await call.run(_INSERT, group_id, name, call.now)
    await call.log("group.created", group_id, data={"group_name": name})
    return pb.CreateGroupResponse(group=_group(await group(call, group_id)))


async def get_group(call: Call, request: pb.GetGroupRequest) -> pb.GetGroupResponse:
    """See groups.proto."""
    return pb.GetGroupResponse(group=_group(await group(call, request.group_id)))


async def update_group(call: Call, request: pb.UpdateGroupRequest) -> pb.UpdateGroupResponse:
    """See groups.proto."""
    name = fields.name("name", request.name)
    await group(call, request.group_id)
    await call.run(_UPDATE, request.group_id, name)
    await call.log("group.updated", request.group_id, changes_requested={"group_name": name})
    return pb.UpdateGroupResponse(group=_group(await group(call, request.group_id)))


async def delete_group(call: Call, request: pb.DeleteGroupRequest) -> pb.DeleteGroupResponse:
    """See groups.proto."""
    await group(call, request.group_id)
    await call.run(_DELETE, request.group_id)
    await call.log("group.deleted", request.group_id)
    return pb.DeleteGroupResponse()


async def list_group_users(call: Call, request: pb.ListGroupUsersRequest) -> pb.ListGroupUsersResponse:
    """See groups.proto."""
    await group(call, request.group_id)
    rows, more = await part(call, _MEMBERS, "u.user_id", request.page, request.group_id)
    return pb.ListGroupUsersResponse(users=map(_user, rows), has_more=more)


async def get_group_user(call: Call, request: pb.GetGroupUserRequest) -> pb.GetGroupUserResponse:
    """See groups.proto."""
    await group(call, request.group_id)
    found = await call.row(f"{_MEMBERS} AND u.user_id = $3", request.group_id, request.user_id)
    if found is None:
        raise not_found("group user", request.user_id)
    return pb.GetGroupUserResponse(user=_user(found))


async def add_group_user(call: Call, request: pb.AddGroupUserRequest) -> pb.AddGroupUserResponse:
    """See groups.proto."""
    await group(call, request.group_id, stays=True)
    if await call.value(_MEMBER, request.user_id) is None:
        raise not_found("user", request.user_id)
    call.insist_all(rights(await call.rows(_GRANTS, request.group_id)))
    if await call.run(_ADD, request.group_id, request.user_id, call.now):
        await _log_members(call, request.group_id, request.user_id, {"user_added": request.user_id})
    return pb.AddGroupUserResponse()


async def remove_group_user(call: Call, request: pb.RemoveGroupUserRequest) -> pb.RemoveGroupUserResponse:
    """See groups.proto."""
    await group(call, request.group_id)
    if not await call.run(_REMOVE, request.group_id, request.user_id):
        raise not_found("group user", request.user_id)
    await _log_members(call, request.group_id, request.user_id, {"user_removed": request.user_id})
    return pb.RemoveGroupUserResponse()


async def group(call: Call, group_id: str, *, stays: bool = False) -> asyncpg.Record:
    """Answer a group, which `stays` until the end of the call if that is asked for. Raises OBJECT_NOT_FOUND."""
    found = await call.row(f"{_GROUPS} AND g.group_id = $2 {'FOR SHARE OF g' if stays else ''}", group_id)
    if found is None:
        raise not_found("group", group_id)
    return found


async def _log_members(call: Call, group_id: str, user_id: str, changes: Mapping[str, str]) -> None:
    await call.log("group.updated", group_id, user_id, changes_requested=changes)


def _group(row: asyncpg.Record) -> pb.Group:
    return pb.Group(
        id=row["group_id"], name=row["name"], create_time=timestamp(row["created_at"]), member_count=row["members"]
    )


def _user(row: asyncpg.Record) -> pb.GroupUser:
    return pb.GroupUser(
        id=row["user_id"],
        email=row["email"] or "",
        name=row["name"],
        service_account=row["role"] == "service_account",
    )
