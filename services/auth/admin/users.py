"""People of an organisation."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import users_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call, conflict
from services.auth.admin.paging import part
from services.auth.admin.project_keys import end_keys_of
from services.auth.permissions import PREDEFINED
from services.auth.store import not_found
from services.auth.wire import timestamp

ROLES = ("owner", "reader")
MOST_EMAILS = 100

_USERS = """
SELECT u.*, (SELECT max(last_used_at) FROM auth.keys k
             WHERE k.organization_id = u.organization_id AND k.owner_id = u.user_id) AS key_last_used_at
FROM auth.users u
WHERE u.organization_id = $1 AND u.role <> 'service_account' AND u.deleted_at IS NULL
"""
_OTHER_OWNERS = """
SELECT user_id FROM auth.users WHERE organization_id = $1 AND user_id <> $2 AND role = 'owner'
AND deleted_at IS NULL AND disabled_at IS NULL ORDER BY user_id FOR UPDATE
"""
_LOCK = "SELECT 1 FROM auth.organizations WHERE organization_id = $1 FOR NO KEY UPDATE"
_UPDATE = """
UPDATE auth.users SET role = $3, name = $4, disabled_at = CASE WHEN $5 THEN coalesce(disabled_at, $6) END
WHERE organization_id = $1 AND user_id = $2
"""
_DELETE = "UPDATE auth.users SET deleted_at = $3 WHERE organization_id = $1 AND user_id = $2"
_LEAVE = (
    "DELETE FROM auth.project_members WHERE organization_id = $1 AND user_id = $2",
    "DELETE FROM auth.group_members WHERE organization_id = $1 AND user_id = $2",
    "DELETE FROM auth.role_assignments WHERE organization_id = $1 AND user_id = $2",
)


async def list_users(call: Call, request: pb.ListUsersRequest) -> pb.ListUsersResponse:
    """See users.proto."""
    if len(request.emails) > MOST_EMAILS:
        raise fields.invalid("emails", f"must be at most {MOST_EMAILS}")
    emails = [email.lower() for email in request.emails]
    select = f"{_USERS} AND (cardinality($2::text[]) = 0 OR lower(u.email) = ANY($2))"
    rows, more = await part(call, select, "u.user_id", request.page, emails)
    return pb.ListUsersResponse(users=map(_user, rows), has_more=more)


async def get_user(call: Call, request: pb.GetUserRequest) -> pb.GetUserResponse:
    """See users.proto."""
    return pb.GetUserResponse(user=await user(call, request.user_id))


async def update_user(call: Call, request: pb.UpdateUserRequest) -> pb.UpdateUserResponse:
    """See users.proto."""
    role = fields.one_of("role", request.role, ROLES) if request.role else None
    name = fields.name("name", request.name) if request.HasField("name") else None
    before = await _changeable(call, request.user_id)
    disabled = request.disabled if request.HasField("disabled") else before["disabled_at"] is not None
    if role is not None:
        call.insist(PREDEFINED[f"role-organization-{role}"])
    if disabled or role == "reader":
        await _leave_an_owner(call, before)
    await call.run(_UPDATE, request.user_id, role or before["role"], name or before["name"], disabled, call.now)
    changes = {
        key: value
        for key, value in (("role", role), ("name", name), ("disabled", disabled))
        if value is not None and (key != "disabled" or request.HasField("disabled"))
    }
    await call.log("user.updated", request.user_id, changes_requested=changes)
    return pb.UpdateUserResponse(user=await user(call, request.user_id))


async def delete_user(call: Call, request: pb.DeleteUserRequest) -> pb.DeleteUserResponse:
    """See users.proto."""
    user_id = request.user_id
    await _leave_an_owner(call, await _changeable(call, user_id))
    await end_keys_of(call, user_id)
    for statement in _LEAVE:
        await call.run(statement, user_id)
    await call.run(_DELETE, user_id, call.now)
    await call.log("user.deleted", user_id)
    return pb.DeleteUserResponse()


async def user(call: Call, user_id: str) -> pb.User:
    """Answer a user as a message. Raises OBJECT_NOT_FOUND."""
    found = await call.row(f"{_USERS} AND u.user_id = $2", user_id)
    if found is None:
        raise not_found("user", user_id)
    return _user(found)


async def _changeable(call: Call, user_id: str) -> asyncpg.Record:
    """Answer a user whom whoever calls may change: one who may do no more than they."""
    await call.run(_LOCK)  # one change of owners at a time, so that two cannot take each other out
    found = await call.user(user_id)
    call.insist_all(await call.rights_of(user_id))
    return found


async def _leave_an_owner(call: Call, leaving: asyncpg.Record) -> None:
    if leaving["role"] == "owner" and not await call.rows(_OTHER_OWNERS, leaving["user_id"]):
        raise conflict("user", leaving["user_id"], "an organisation has an owner")


def _user(row: asyncpg.Record) -> pb.User:
    return pb.User(
        id=row["user_id"],
        email=row["email"] or "",
        name=row["name"],
        role=row["role"],
        create_time=timestamp(row["created_at"]),
        disabled=row["disabled_at"] is not None,
        key_last_use_time=timestamp(row["key_last_used_at"]),
    )
