"""Keys of the administration."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import keys_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call
from services.auth.admin.paging import part
from services.auth.minting import NewKey, Restrictions
from services.auth.store import not_found
from services.auth.wire import timestamp

_KEYS = """
SELECT k.*, u.name AS owner_name, u.email AS owner_email, u.role AS owner_role, u.created_at AS owner_created_at,
       u.disabled_at IS NULL AND u.deleted_at IS NULL AS owner_active
FROM auth.keys k JOIN auth.users u ON u.organization_id = k.organization_id AND u.user_id = k.owner_id
WHERE k.organization_id = $1 AND k.kind = 'admin' AND k.revoked_at IS NULL
"""
_END = "UPDATE auth.keys SET revoked_at = $3 WHERE organization_id = $1 AND key_id = $2"


async def list_admin_keys(call: Call, request: pb.ListAdminKeysRequest) -> pb.ListAdminKeysResponse:
    """See keys.proto."""
    rows, more = await part(call, _KEYS, "k.key_id", request.page)
    return pb.ListAdminKeysResponse(admin_keys=map(_admin_key, rows), has_more=more)


async def create_admin_key(call: Call, request: pb.CreateAdminKeyRequest) -> pb.CreateAdminKeyResponse:
    """See keys.proto."""
    name = fields.name("name", request.name)
    user_id = request.user_id or call.actor.user_id
    limits = Restrictions(
        scopes=fields.scopes("scopes", request.scopes or call.actor.scopes),
        allowed_ips=fields.networks("allowed_ips", request.allowed_ips),
        expires_at=fields.expiry(
            "expire_time", request.expire_time if request.HasField("expire_time") else None, call.clock
        ),
    )
    await call.user(user_id)
    call.insist_all((await call.rights_of(user_id)).narrowed(limits.scopes))
    made = await call.mint.make(call.connection, NewKey("admin", call.organization_id, None, user_id, name, limits))
    await call.log("api_key.created", made.id, user_id, data={"scopes": list(limits.scopes)})
    return pb.CreateAdminKeyResponse(admin_key=await admin_key(call, made.id), key=made.key)


async def get_admin_key(call: Call, request: pb.GetAdminKeyRequest) -> pb.GetAdminKeyResponse:
    """See keys.proto."""
    return pb.GetAdminKeyResponse(admin_key=await admin_key(call, request.key_id))


async def delete_admin_key(call: Call, request: pb.DeleteAdminKeyRequest) -> pb.DeleteAdminKeyResponse:
    """See keys.proto."""
    key = await _key(call, request.key_id)
    call.insist_all((await call.rights_of(key["owner_id"])).narrowed(tuple(key["scopes"])))
    await call.run(_END, request.key_id, call.now)
    await call.log("api_key.deleted", request.key_id)
    return pb.DeleteAdminKeyResponse()


async def admin_key(call: Call, key_id: str) -> pb.AdminKey:
    """Answer an admin key as a message. Raises OBJECT_NOT_FOUND."""
    return _admin_key(await _key(call, key_id))


async def _key(call: Call, key_id: str) -> asyncpg.Record:
    found = await call.row(f"{_KEYS} AND k.key_id = $2", key_id)
    if found is None:
        raise not_found("admin key", key_id)
    return found


def _admin_key(row: asyncpg.Record) -> pb.AdminKey:
    return pb.AdminKey(
        id=row["key_id"],
        name=row["name"],
        redacted=row["redacted"],
        create_time=timestamp(row["created_at"]),
        expire_time=timestamp(row["expires_at"]),
        last_use_time=timestamp(row["last_used_at"]),
        owner=pb.KeyOwner(
            id=row["owner_id"],
            email=row["owner_email"] or "",
            name=row["owner_name"],
            role=row["owner_role"],
            create_time=timestamp(row["owner_created_at"]),
            active=row["owner_active"],
        ),
        scopes=row["scopes"],
        operator=row["operator"],
        allowed_ips=row["allowed_ips"],
    )
