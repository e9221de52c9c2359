"""Keys in the tables: found by their hash, noted as used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import asyncpg

from chassis.errors import CapstanError, Reason
from chassis.postgres import Connection
from services.auth.limits import Numbers, numbers
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


LONGEST_SHOWN = 256
"""Characters of an id in an error, which travels in headers of bounded size."""


class Store:
    """Reads and writes. Every method raises `CapstanError` (UNAVAILABLE, OVERLOADED) when the database is away."""

    def __init__(self, tenancy: Tenancy, peppers: Sequence[Pepper]) -> None:
        self._tenancy = tenancy
        self._peppers = peppers

    async def find(self, digests: Sequence[bytes]) -> list[KeyRow | None]:
        """Answer the row of each digest, None where there is none; all in one query.

        A row under a former pepper is moved to the current one, as the digest is at hand only now.
        """
        wanted = {pepper.stored(digest): digest for digest in digests for pepper in self._peppers}
        async with self._tenancy.lookup() as connection:
            records = await connection.fetch(_FIND, list(wanted))
        found: dict[bytes, KeyRow] = {}
        former: dict[str, bytes] = {}
        for record in records:
            digest = wanted[record["hmac"]]
            if matching(self._peppers, record["pepper_id"], record["hmac"], digest):
                found[digest] = _row(record)
                if record["pepper_id"] != self._peppers[0].id:
                    former[record["key_id"]] = self._peppers[0].stored(digest)
        if former:
            with suppress(CapstanError):  # the next lookup tries again
                async with self._tenancy.lookup() as connection:
                    await connection.execute(_REHASH, list(former), list(former.values()), self._peppers[0].id)
        return [found.get(digest) for digest in digests]

    async def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Move `last_used_at` of each key forward; keys in order, so that replicas cannot lock each other out."""

        async def update(connection: Connection) -> None:
            key_ids = sorted(uses)
            await connection.execute(_USED, key_ids, [uses[key_id] for key_id in key_ids])

        await self._tenancy.retried_lookup(update)


def not_found(kind: str, name: str) -> CapstanError:
    """Build the error for what does not exist for the caller; of a name that is none, it has the beginning."""
    return CapstanError(Reason.OBJECT_NOT_FOUND, f"no such {kind}", object=kind, id=name[:LONGEST_SHOWN])


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
