"""Keys of projects: whose they are, what they may do less than their owner, how one follows another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import asyncpg

from capstan.auth.v1 import keys_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call
from services.auth.admin.paging import part
from services.auth.limits import Limit, Numbers, Table, numbers
from services.auth.minting import Minted, NewKey, Restrictions, write_limits
from services.auth.permissions import ADMINISTRATIVE, PREDEFINED
from services.auth.principals import Kind
from services.auth.store import not_found
from services.auth.wire import numbers_of, rate_limit, timestamp

MOST_MODELS = 100
LONGEST_OVERLAP = timedelta(days=30)

_IDLE_WORDS = sorted(ADMINISTRATIVE | {role for role, grants in PREDEFINED.items() if not grants.usable})
"""What may be granted and does not let a project be used."""

_KEYS = """
SELECT * FROM (
    SELECT k.*, u.name AS owner_name, u.email AS owner_email, u.created_at AS owner_created_at,
           coalesce(m.role, u.project_role) AS owner_role,
           u.disabled_at IS NULL AND u.deleted_at IS NULL AND EXISTS (
               SELECT FROM auth.grants g WHERE g.organization_id = k.organization_id AND g.user_id = k.owner_id
               AND (g.project_id IS NULL OR g.project_id = k.project_id) AND g.word <> ALL($3::text[])
           ) AS owner_access
    FROM auth.keys k JOIN auth.users u ON u.organization_id = k.organization_id AND u.user_id = k.owner_id
    LEFT JOIN auth.project_members m ON m.organization_id = k.organization_id AND m.project_id = k.project_id
        AND m.user_id = k.owner_id
    WHERE k.organization_id = $1 AND k.project_id = $2 AND k.revoked_at IS NULL
) k WHERE true
"""
_LIMITS = "SELECT * FROM auth.key_rate_limits WHERE organization_id = $1 AND key_id = ANY($2) ORDER BY key_id, model"
_UPDATE = """
UPDATE auth.keys SET name = $3, scopes = $4, allowed_models = $5, allowed_ips = $6, expires_at = $7
WHERE organization_id = $1 AND key_id = $2
"""
_END_LATER = """
UPDATE auth.keys SET expires_at = least(expires_at, $3) WHERE organization_id = $1 AND key_id = $2
"""
_END = "UPDATE auth.keys SET revoked_at = $3 WHERE organization_id = $1 AND key_id = $2"
_END_ALL = """
UPDATE auth.keys SET revoked_at = $3 WHERE organization_id = $1 AND owner_id = $2 AND revoked_at IS NULL
"""


async def list_project_keys(call: Call, request: pb.ListProjectKeysRequest) -> pb.ListProjectKeysResponse:
    """See keys.proto."""
    wanted = request.owner_project_access or "any"
    access = {"active": True, "inactive": False, "any": None}[
        fields.one_of("owner_project_access", wanted, ("active", "inactive", "any"))
    ]
    await call.project(request.project_id)
    select = f"{_KEYS} AND ($4::boolean IS NULL OR owner_access = $4)"
    rows, more = await part(call, select, "key_id", request.page, request.project_id, _IDLE_WORDS, access)
    limits = await _limits(call, [row["key_id"] for row in rows])
    return pb.ListProjectKeysResponse(
        api_keys=[_api_key(row, limits.get(row["key_id"], {})) for row in rows], has_more=more
    )


async def get_project_key(call: Call, request: pb.GetProjectKeyRequest) -> pb.GetProjectKeyResponse:
    """See keys.proto."""
    return pb.GetProjectKeyResponse(api_key=await api_key(call, request.project_id, request.key_id))


async def create_project_key(call: Call, request: pb.CreateProjectKeyRequest) -> pb.CreateProjectKeyResponse:
    """See keys.proto."""
    name = fields.name("name", request.name)
    limits = restrictions(call, request.restrictions)
    project_id, user_id = request.project_id, request.user_id or call.actor.user_id
    await call.project(project_id, active=True)
    await call.user(user_id)
    owner = (await call.rights_of(user_id)).within(project_id)
    if not owner.usable:
        raise not_found("project user", user_id)
    call.insist(owner, project_id)
    made = await make_key(call, "user", project_id, user_id, name, limits)
    return pb.CreateProjectKeyResponse(api_key=await api_key(call, project_id, made.id), key=made.key)


async def update_project_key(call: Call, request: pb.UpdateProjectKeyRequest) -> pb.UpdateProjectKeyResponse:
    """See keys.proto."""
    key = await _key(call, request.project_id, request.key_id)
    name = fields.name("name", request.name) if request.HasField("name") else key["name"]
    held = await _restrictions_of(call, key)
    new = restrictions(call, request.restrictions) if request.HasField("restrictions") else held
    await _insist(call, key)
    await call.run(
        _UPDATE,
        request.key_id,
        name,
        list(new.scopes),
        list(new.allowed_models),
        list(new.allowed_ips),
        new.expires_at,
    )
    if request.HasField("restrictions"):
        await write_limits(call.connection, call.organization_id, request.key_id, new.limits)
    changes = {"name": name, "scopes": list(new.scopes)}
    await call.log("api_key.updated", request.key_id, project_id=request.project_id, changes_requested=changes)
    return pb.UpdateProjectKeyResponse(api_key=await api_key(call, request.project_id, request.key_id))


async def rotate_project_key(call: Call, request: pb.RotateProjectKeyRequest) -> pb.RotateProjectKeyResponse:
    """See keys.proto."""
    overlap = request.overlap.ToTimedelta()
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise fields.invalid("overlap", f"must be 0 to {LONGEST_OVERLAP.days} days")
    project_id = request.project_id
    await call.project(project_id, active=True)
    key = await _key(call, project_id, request.key_id)
    await _insist(call, key)
    limits = await _restrictions_of(call, key)
    made = await make_key(call, key["kind"], project_id, key["owner_id"], key["name"], limits)
    if overlap:
        await call.run(_END_LATER, request.key_id, call.now + overlap)
        changes = {"replaced_by": made.id, "overlap_seconds": int(overlap.total_seconds())}
        await call.log("api_key.updated", request.key_id, project_id=project_id, changes_requested=changes)
    else:
        await _end(call, project_id, request.key_id)
    return pb.RotateProjectKeyResponse(api_key=await api_key(call, project_id, made.id), key=made.key)


async def delete_project_key(call: Call, request: pb.DeleteProjectKeyRequest) -> pb.DeleteProjectKeyResponse:
    """See keys.proto."""
    await _key(call, request.project_id, request.key_id)
    await _end(call, request.project_id, request.key_id)
    return pb.DeleteProjectKeyResponse()


async def make_key(call: Call, kind: Kind, project_id: str, owner_id: str, name: str, limits: Restrictions) -> Minted:
    """Make a key of a project and write that down."""
    made = await call.mint.make(call.connection, NewKey(kind, call.organization_id, project_id, owner_id, name, limits))
    data = {"scopes": list(limits.scopes)}
    await call.log("api_key.created", made.id, owner_id, project_id=project_id, data=data)
    return made


async def end_keys_of(call: Call, user_id: str) -> None:
    """End every key of a user, of whatever kind."""
    await call.run(_END_ALL, user_id, call.now)


async def api_key(call: Call, project_id: str, key_id: str) -> pb.ApiKey:
    """Answer a key as a message. Raises OBJECT_NOT_FOUND."""
    key = await _key(call, project_id, key_id)
    return _api_key(key, (await _restrictions_of(call, key)).limits)


def restrictions(call: Call, message: pb.KeyRestrictions) -> Restrictions:
    """Check the restrictions of a key. Raises INVALID_ARGUMENT."""
    limits: dict[str, Numbers] = {}
    if len(message.rate_limits) > MOST_MODELS:
        raise fields.invalid("restrictions.rate_limits", f"must be at most {MOST_MODELS}")
    for limit in message.rate_limits:
        if limit.model in limits:
            raise fields.invalid("restrictions.rate_limits", "must name each model once")
        if limit.model:
            fields.models("restrictions.rate_limits", [limit.model], 1)
        limits[limit.model] = fields.amounts("restrictions.rate_limits", numbers_of(limit))
    return Restrictions(
        fields.scopes("restrictions.scopes", message.scopes),
        fields.models("restrictions.allowed_models", message.allowed_models, MOST_MODELS),
        fields.networks("restrictions.allowed_ips", message.allowed_ips),
        fields.expiry(
            "restrictions.expire_time",
            message.expire_time if message.HasField("expire_time") else None,
            call.clock,
        ),
        limits,
    )


async def _end(call: Call, project_id: str, key_id: str) -> None:
    await call.run(_END, key_id, call.now)
    await call.log("api_key.deleted", key_id, project_id=project_id)


async def _insist(call: Call, key: asyncpg.Record) -> None:
    """Whoever shows or widens a key has it: they must have all that its owner may do by it."""
    call.insist((await call.rights_of(key["owner_id"])).within(key["project_id"]), key["project_id"])


async def _key(call: Call, project_id: str, key_id: str) -> asyncpg.Record:
    await call.project(project_id)
    found = await call.row(f"{_KEYS} AND key_id = $4", project_id, _IDLE_WORDS, key_id)
    if found is None:
        raise not_found("key", key_id)
    return found


async def _limits(call: Call, key_ids: list[str]) -> dict[str, dict[str, Numbers]]:
    tables: dict[str, dict[str, Numbers]] = {}
    for row in await call.rows(_LIMITS, key_ids):
        tables.setdefault(row["key_id"], {})[row["model"]] = numbers(dict(row))
    return tables


async def _restrictions_of(call: Call, key: asyncpg.Record) -> Restrictions:
    held = Restrictions(
        tuple(key["scopes"]), tuple(key["allowed_models"]), tuple(key["allowed_ips"]), key["expires_at"]
    )
    return replace(held, limits=(await _limits(call, [key["key_id"]])).get(key["key_id"], {}))


def _api_key(row: asyncpg.Record, limits: Table) -> pb.ApiKey:
    return pb.ApiKey(
        id=row["key_id"],
        project_id=row["project_id"],
        name=row["name"],
        redacted=row["redacted"],
        create_time=timestamp(row["created_at"]),
        last_use_time=timestamp(row["last_used_at"]),
        restrictions=pb.KeyRestrictions(
            scopes=row["scopes"],
            allowed_models=row["allowed_models"],
            allowed_ips=row["allowed_ips"],
            expire_time=timestamp(row["expires_at"]),
            rate_limits=[rate_limit(Limit("key", model, limit)) for model, limit in sorted(limits.items())],
        ),
        owner=pb.KeyOwner(
            id=row["owner_id"],
            service_account=row["kind"] == "service_account",
            email=row["owner_email"] or "",
            name=row["owner_name"],
            role=row["owner_role"] or "",
            create_time=timestamp(row["owner_created_at"]),
            active=row["owner_access"],
        ),
    )
