"""Keys in the tables: found by their hash, noted as used, and those that AuthService itself makes and ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import asyncpg

from chassis.errors import CapstanError, Reason
from chassis.ids import Ids
from chassis.postgres import Connection
from services.auth.audit import INSTALLATION, record
from services.auth.limits import Numbers, numbers
from services.auth.minting import Mint, Minted, NewKey, Restrictions
from services.auth.peppers import Pepper, matching
from services.auth.permissions import expanded
from services.auth.principals import KeyRow
from services.auth.tenancy import Tenancy

# Whatever a principal is made of, in one statement, so that no two parts of it can be of different times.
_FIND = """
SELECT k.hmac, k.pepper_id, k.key_id, k.kind, k.organization_id, k.project_id, k.owner_id, k.scopes, k.allowed_models,
       k.allowed_ips, k.operator, k.expires_at, k.revoked_at,
       p.archived_at, p.moderation_policy, p.allowed_models AS project_models, p.denied_models, o.tier,
       u.disabled_at IS NULL AND u.deleted_at IS NULL AS owner_active,
       CASE WHEN k.kind = 'admin' THEN u.role ELSE coalesce(m.role, u.project_role) END AS owner_role,
       g.words, l.limits
FROM auth.keys k
JOIN auth.organizations o ON o.organization_id = k.organization_id
JOIN auth.users u ON u.organization_id = k.organization_id AND u.user_id = k.owner_id
LEFT JOIN auth.projects p ON p.organization_id = k.organization_id AND p.project_id = k.project_id
LEFT JOIN auth.project_members m ON m.organization_id = k.organization_id AND m.project_id = k.project_id
    AND m.user_id = k.owner_id
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT word) AS words FROM auth.grants
    WHERE organization_id = k.organization_id AND user_id = k.owner_id
      AND (project_id IS NULL OR project_id = k.project_id)
) g
CROSS JOIN LATERAL (
    SELECT json_agg(found) AS limits FROM (
        SELECT 'organization' AS scope, to_json(r) AS numbers FROM auth.organization_rate_limits r
        WHERE organization_id = k.organization_id
        UNION ALL
        SELECT 'project', to_json(r) FROM auth.project_rate_limits r
        WHERE organization_id = k.organization_id AND project_id = k.project_id
        UNION ALL
        SELECT 'key', to_json(r) FROM auth.key_rate_limits r
        WHERE organization_id = k.organization_id AND key_id = k.key_id
    ) found
) l
WHERE k.hmac = ANY($1::bytea[])
"""

_REHASH = """
UPDATE auth.keys SET hmac = u.hmac, pepper_id = $3
FROM unnest($1::text[], $2::bytea[]) AS u (key_id, hmac)
WHERE keys.key_id = u.key_id
"""

_USED = """
UPDATE auth.keys SET last_used_at = greatest(last_used_at, u.at)
FROM unnest($1::text[], $2::timestamptz[]) AS u (key_id, at)
WHERE keys.key_id = u.key_id
"""


class Store:
    """Reads and writes. Every method raises `CapstanError` (UNAVAILABLE, OVERLOADED) when the database is away."""

    def __init__(self, tenancy: Tenancy, peppers: Sequence[Pepper], mint: Mint, ids: Ids) -> None:
        self._tenancy = tenancy
        self._peppers = peppers
        self._mint = mint
        self._ids = ids

    async def find(self, digests: Sequence[bytes]) -> list[KeyRow | None]:
        """Answer the row of each digest, None where there is none; all in one query.

        A row under a former pepper is moved to the current one, as the digest is at hand only now.
        """
        wanted = {pepper.stored(digest): digest for digest in digests for pepper in self._peppers}
        async with self._tenancy.lookup() as connection:
            records = await connection.fetch(_FIND, list(wanted))
        found: dict[bytes, KeyRow] = {}
        former: dict[str, bytes] = {}
        for record_ in records:
            digest = wanted[record_["hmac"]]
            if matching(self._peppers, record_["pepper_id"], record_["hmac"], digest):
                found[digest] = _row(record_)
                if record_["pepper_id"] != self._peppers[0].id:
                    former[record_["key_id"]] = self._peppers[0].stored(digest)
        if former:
            with suppress(CapstanError):  # the next lookup tries again
                async with self._tenancy.lookup() as connection:
                    await connection.execute(_REHASH, list(former), list(former.values()), self._peppers[0].id)
        return [found.get(digest) for digest in digests]

    async def create_key(self, organization_id: str, project_id: str, name: str, restrictions: Restrictions) -> Minted:
        """Make a key, owned by the organisation's first owner, and write that down.

        Raises:
            CapstanError: OBJECT_NOT_FOUND when the organisation has no such project, or it was archived.
        """
        async with self._tenancy.within(organization_id) as connection:
            project = await connection.fetchval(
                "SELECT 1 FROM auth.projects"
                " WHERE organization_id = $1 AND project_id = $2 AND archived_at IS NULL FOR SHARE",
                organization_id,
                project_id,
            )
            if project is None:
                raise not_found("project", project_id)
            owner_id = await connection.fetchval(
                "SELECT user_id FROM auth.users WHERE organization_id = $1 AND role = 'owner' AND deleted_at IS NULL"
                " ORDER BY created_at, user_id LIMIT 1",
                organization_id,
            )
            new = NewKey("user", organization_id, project_id, owner_id, name, restrictions)
            made = await self._mint.make(connection, new)
            await self._log(connection, organization_id, project_id, made.id, "api_key.created")
            return made

    async def revoke_key(self, organization_id: str, key_id: str) -> None:
        """End a key now and write that down; nothing happens when it is ended already.

        Raises:
            CapstanError: OBJECT_NOT_FOUND when the organisation has no such key.
        """
        async with self._tenancy.within(organization_id) as connection:
            key = await connection.fetchrow(
                "SELECT project_id, revoked_at FROM auth.keys WHERE organization_id = $1 AND key_id = $2 FOR UPDATE",
                organization_id,
                key_id,
            )
            if key is None:
                raise not_found("key", key_id)
            if key["revoked_at"] is None:
                await connection.execute(
                    "UPDATE auth.keys SET revoked_at = now() WHERE organization_id = $1 AND key_id = $2",
                    organization_id,
                    key_id,
                )
                await self._log(connection, organization_id, key["project_id"], key_id, "api_key.deleted")

    async def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Move `last_used_at` of each key forward; keys in order, so that replicas cannot lock each other out."""

        async def update(connection: Connection) -> None:
            key_ids = sorted(uses)
            await connection.execute(_USED, key_ids, [uses[key_id] for key_id in key_ids])

        await self._tenancy.retried_lookup(update)

    async def _log(
        self, connection: Connection, organization_id: str, project_id: str | None, key_id: str, action: str
    ) -> None:
        await record(connection, self._ids, INSTALLATION, organization_id, action, [key_id], project_id=project_id)


def not_found(kind: str, name: str) -> CapstanError:
    """Build the error for what does not exist for the caller."""
    return CapstanError(Reason.OBJECT_NOT_FOUND, f"no such {kind}", object=kind, id=name)


def _row(found: asyncpg.Record) -> KeyRow:
    limits: dict[str, dict[str, Numbers]] = {"organization": {}, "project": {}, "key": {}}
    for limit in json.loads(found["limits"] or "[]"):
        limits[limit["scope"]][limit["numbers"]["model"]] = numbers(limit["numbers"])
    return KeyRow(
        id=found["key_id"],
        organization_id=found["organization_id"],
        project_id=found["project_id"] or "",
        owner_id=found["owner_id"],
        scopes=tuple(found["scopes"]),
        expires_at=found["expires_at"],
        revoked_at=found["revoked_at"],
        archived_at=found["archived_at"],
        kind=found["kind"],
        operator=found["operator"],
        allowed_ips=tuple(found["allowed_ips"]),
        allowed_models=tuple(found["allowed_models"]),
        owner_role=found["owner_role"] or "",
        owner_active=found["owner_active"],
        owner_grants=expanded(tuple(found["words"] or ())),
        moderation_policy=found["moderation_policy"] or "off",
        project_models=tuple(found["project_models"] or ()),
        denied_models=tuple(found["denied_models"] or ()),
        tier=found["tier"],
        organization_limits=limits["organization"],
        project_limits=limits["project"],
        key_limits=limits["key"],
    )
