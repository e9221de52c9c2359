"""Service accounts of projects."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import accounts_pb2 as pb
from capstan.auth.v1 import keys_pb2
from services.auth import fields
from services.auth.admin.call import Call
from services.auth.admin.paging import part
from services.auth.admin.project_keys import api_key, end_keys_of, make_key, restrictions
from services.auth.minting import Restrictions
from services.auth.permissions import NOTHING, PREDEFINED
from services.auth.store import not_found
from services.auth.wire import timestamp

ROLES = ("owner", "member", "none")
FIRST_KEY = "Secret key"

_LIST = """
SELECT * FROM auth.users WHERE organization_id = $1 AND project_id = $2 AND role = 'service_account'
AND deleted_at IS NULL
"""
_INSERT = """
INSERT INTO auth.users (organization_id, project_id, user_id, name, role, project_role, created_at)
VALUES ($1, $2, $3, $4, 'service_account', $5, $6) RETURNING *
"""
_UPDATE = """
UPDATE auth.users SET name = coalesce($3, name), project_role = coalesce($4, project_role)
WHERE organization_id = $1 AND user_id = $2 RETURNING *
"""
_DELETE = "UPDATE auth.users SET deleted_at = $3 WHERE organization_id = $1 AND user_id = $2"
_LEAVE = "DELETE FROM auth.group_members WHERE organization_id = $1 AND user_id = $2"


async def list_service_accounts(call: Call, request: pb.ListServiceAccountsRequest) -> pb.ListServiceAccountsResponse:
    """See accounts.proto."""
    await call.project(request.project_id)
    rows, more = await part(call, _LIST, "user_id", request.page, request.project_id)
    return pb.ListServiceAccountsResponse(service_accounts=map(_account, rows), has_more=more)


async def create_service_account(
    call: Call, request: pb.CreateServiceAccountRequest
) -> pb.CreateServiceAccountResponse:
    """See accounts.proto."""
    name = fields.name("name", request.name)
    role = fields.one_of("role", request.role or ("none" if request.without_key else "member"), ROLES)
    project_id = request.project_id
    await call.project(project_id, active=True)
    _insist(call, role, project_id)
    user_id = call.ids.new("user-svc")
    row = await call.row(_INSERT, project_id, user_id, name, role, call.now)
    assert row is not None
    await call.log("service_account.created", user_id, project_id=project_id, data={"role": role})
    answer = pb.CreateServiceAccountResponse(service_account=_account(row))
    if not request.without_key:
        made = await make_key(call, "service_account", project_id, user_id, FIRST_KEY, Restrictions())
        answer.api_key.CopyFrom(await api_key(call, project_id, made.id))
        answer.key = made.key
    return answer


async def get_service_account(call: Call, request: pb.GetServiceAccountRequest) -> pb.GetServiceAccountResponse:
    """See accounts.proto."""
    row = await account(call, request.project_id, request.service_account_id)
    return pb.GetServiceAccountResponse(service_account=_account(row))


async def update_service_account(
    call: Call, request: pb.UpdateServiceAccountRequest
) -> pb.UpdateServiceAccountResponse:
    """See accounts.proto."""
    name = fields.name("name", request.name) if request.HasField("name") else None
    role = fields.one_of("role", request.role, ROLES) if request.role else None
    before = await account(call, request.project_id, request.service_account_id)
    if role is not None:
        _insist(call, role, request.project_id)
        _insist(call, before["project_role"], request.project_id)
    row = await call.row(_UPDATE, request.service_account_id, name, role)
    assert row is not None
    changes = {key: value for key, value in (("name", name), ("role", role)) if value is not None}
    await call.log(
        "service_account.updated", request.service_account_id, project_id=request.project_id, changes_requested=changes
    )
    return pb.UpdateServiceAccountResponse(service_account=_account(row))


async def delete_service_account(
    call: Call, request: pb.DeleteServiceAccountRequest
) -> pb.DeleteServiceAccountResponse:
    """See accounts.proto."""
    user_id = request.service_account_id
    await account(call, request.project_id, user_id)
    await end_keys_of(call, user_id)
    await call.run(_LEAVE, user_id)
    await call.run(_DELETE, user_id, call.now)
    await call.log("service_account.deleted", user_id, project_id=request.project_id)
    return pb.DeleteServiceAccountResponse()


async def create_service_account_key(
    call: Call, request: keys_pb2.CreateServiceAccountKeyRequest
) -> keys_pb2.CreateServiceAccountKeyResponse:
    """See keys.proto."""
    name = fields.name("name", request.name) if request.name else FIRST_KEY
    limits = restrictions(call, request.restrictions)
    project_id = request.project_id
    await call.project(project_id, active=True)
    await account(call, project_id, request.service_account_id)
    # All that it may do, also by roles and groups: whoever makes its key has it.
    call.insist((await call.rights_of(request.service_account_id)).within(project_id), project_id)
    made = await make_key(call, "service_account", project_id, request.service_account_id, name, limits)
    return keys_pb2.CreateServiceAccountKeyResponse(api_key=await api_key(call, project_id, made.id), key=made.key)


async def account(call: Call, project_id: str, user_id: str) -> asyncpg.Record:
    """Answer a service account. Raises OBJECT_NOT_FOUND."""
    await call.project(project_id)
    found = await call.row(f"{_LIST} AND user_id = $3 FOR SHARE", project_id, user_id)
    if found is None:
        raise not_found("service account", user_id)
    return found


def _insist(call: Call, role: str, project_id: str) -> None:
    call.insist(PREDEFINED.get(f"role-project-{role}", NOTHING), project_id)


def _account(row: asyncpg.Record) -> pb.ServiceAccount:
    return pb.ServiceAccount(
        id=row["user_id"],
        name=row["name"],
        role=row["project_role"],
        create_time=timestamp(row["created_at"]),
        project_id=row["project_id"],
    )
