"""The tables. Every statement but the lookup by key names the organisation it acts for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from chassis.errors import CapstanError, Reason, unavailable
from chassis.postgres import Connection, Pool
from services.auth.peppers import Pepper, matching
from services.auth.principals import KeyRow, ProjectLimit

_FIND = """
SELECT k.hmac, k.pepper_id, k.key_id, k.organization_id, k.project_id, k.owner_id, k.scopes, k.expires_at, k.revoked_at,
       p.archived_at, p.moderation_policy, p.allowed_models, o.tier, l.models, l.requests, l.tokens
FROM auth.keys k
JOIN auth.projects p USING (project_id)
JOIN auth.organizations o ON o.organization_id = k.organization_id
LEFT JOIN LATERAL (
    SELECT array_agg(model ORDER BY model) AS models,
           array_agg(requests_per_minute ORDER BY model) AS requests,
           array_agg(tokens_per_minute ORDER BY model) AS tokens
    FROM auth.project_rate_limits WHERE project_id = k.project_id
) l ON true
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


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be kept: everything of it but itself."""

    id: str
    organization_id: str
    project_id: str
    name: str
    digest: bytes
    redacted: str
    scopes: tuple[str, ...]
    expires_at: datetime | None


class Store:
    """Reads and writes. Every method raises `CapstanError` (UNAVAILABLE, OVERLOADED) when the database is away."""

    def __init__(self, pool: Pool, peppers: Sequence[Pepper]) -> None:
        self._pool = pool
        self._peppers = peppers

    async def find(self, digests: Sequence[bytes]) -> list[KeyRow | None]:
        """Answer the row of each digest, None where there is none; all in one query.

        A row under a former pepper is moved to the current one, as the digest is at hand only now.
        """
        wanted = {pepper.stored(digest): digest for digest in digests for pepper in self._peppers}
        async with _migrated(), self._pool.acquire() as connection:
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
                async with self._pool.acquire() as connection:
                    await connection.execute(_REHASH, list(former), list(former.values()), self._peppers[0].id)
        return [found.get(digest) for digest in digests]

    async def create_key(self, key: NewKey) -> None:
        """Keep a key, owned by the organisation's first owner, and write that down.

        Raises:
            CapstanError: OBJECT_NOT_FOUND when the organisation has no such project, or it was archived.
        """
        async with _migrated(), self._pool.transaction() as connection:
            project = await connection.fetchval(
                "SELECT 1 FROM auth.projects"
                " WHERE organization_id = $1 AND project_id = $2 AND archived_at IS NULL FOR SHARE",
                key.organization_id,
                key.project_id,
            )
            if project is None:
                raise _not_found("project", key.project_id)
            owner_id = await connection.fetchval(
                "SELECT user_id FROM auth.users WHERE organization_id = $1 AND role = 'owner'"
                " ORDER BY created_at, user_id LIMIT 1",
                key.organization_id,
            )
            await self.insert_key(connection, key, owner_id)

    async def insert_key(self, connection: Connection, key: NewKey, owner_id: str) -> None:
        """Insert a key and its entry in the audit log, in the caller's transaction."""
        pepper = self._peppers[0]
        await connection.execute(
            "INSERT INTO auth.keys (key_id, organization_id, project_id, owner_id, name, hmac, pepper_id, redacted,"
            " scopes, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            key.id,
            key.organization_id,
            key.project_id,
            owner_id,
            key.name,
            pepper.stored(key.digest),
            pepper.id,
            key.redacted,
            list(key.scopes),
            key.expires_at,
        )
        await _log(connection, key.organization_id, key.project_id, key.id, "key.created")

    async def revoke_key(self, organization_id: str, key_id: str) -> None:
        """End a key now and write that down; nothing happens when it is ended already.

        Raises:
            CapstanError: OBJECT_NOT_FOUND when the organisation has no such key.
        """
        async with _migrated(), self._pool.transaction() as connection:
            key = await connection.fetchrow(
                "SELECT project_id, revoked_at FROM auth.keys WHERE organization_id = $1 AND key_id = $2 FOR UPDATE",
                organization_id,
                key_id,
            )
            if key is None:
                raise _not_found("key", key_id)
            if key["revoked_at"] is None:
                await connection.execute(
                    "UPDATE auth.keys SET revoked_at = now() WHERE organization_id = $1 AND key_id = $2",
                    organization_id,
                    key_id,
                )
                await _log(connection, organization_id, key["project_id"], key_id, "key.revoked")

    async def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Move `last_used_at` of each key forward; keys in order, so that replicas cannot lock each other out."""

        async def update(connection: Connection) -> None:
            key_ids = sorted(uses)
            await connection.execute(_USED, key_ids, [uses[key_id] for key_id in key_ids])

        async with _migrated():
            await self._pool.retried(update)


def _row(record: asyncpg.Record) -> KeyRow:
    limits = zip(record["models"] or (), record["requests"] or (), record["tokens"] or (), strict=True)
    return KeyRow(
        id=record["key_id"],
        organization_id=record["organization_id"],
        project_id=record["project_id"],
        owner_id=record["owner_id"],
        scopes=tuple(record["scopes"]),
        expires_at=record["expires_at"],
        revoked_at=record["revoked_at"],
        archived_at=record["archived_at"],
        moderation_policy=record["moderation_policy"],
        allowed_models=tuple(record["allowed_models"]),
        tier=record["tier"],
        limits=tuple(ProjectLimit(*limit) for limit in limits),
    )


async def _log(connection: Connection, organization_id: str, project_id: str, key_id: str, action: str) -> None:
    await connection.execute(
        "INSERT INTO auth.audit_log (organization_id, project_id, key_id, action) VALUES ($1, $2, $3, $4)",
        organization_id,
        project_id,
        key_id,
        action,
    )


@asynccontextmanager
async def _migrated() -> AsyncIterator[None]:
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        raise unavailable("postgres", "the schema auth is not there yet: run `migrate`") from None


def _not_found(kind: str, name: str) -> CapstanError:
    return CapstanError(Reason.OBJECT_NOT_FOUND, f"no such {kind}", object=kind, id=name)
