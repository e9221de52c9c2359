"""The first organisation, with a project, its owner and a key: what an empty installation needs to be of use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from chassis import keys
from chassis.ids import Ids
from chassis.postgres import Connection, Pool
from services.auth.store import NewKey, Store


@dataclass(frozen=True, slots=True)
class First:
    """What was made. The key is here and nowhere else."""

    organization_id: str
    project_id: str
    user_id: str
    api_key: str

    def words(self) -> dict[str, str]:
        """Answer it as it is printed."""
        return asdict(self)


async def bootstrap(
    pool: Pool, store: Store, *, name: str, tier: str, ids: Ids, entropy: Callable[[int], bytes]
) -> First | None:
    """Make the first organisation; answer None when there is any already, however often and at once this is called."""
    key = keys.mint("proj", entropy)
    first = First(ids.new("org-"), ids.new("proj_"), ids.new("user-"), key)
    new = NewKey(
        id=ids.new("key_"),
        organization_id=first.organization_id,
        project_id=first.project_id,
        name="First key",
        digest=keys.digest(key),
        redacted=keys.redact(key),
        scopes=("*",),
        expires_at=None,
    )
    async with pool.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('capstan.auth.bootstrap'))")
        if await connection.fetchval("SELECT EXISTS (SELECT FROM auth.organizations)"):
            return None
        await _insert(connection, first, name, tier)
        await store.insert_key(connection, new, first.user_id)
    return first


async def _insert(connection: Connection, first: First, name: str, tier: str) -> None:
    await connection.execute(
        "INSERT INTO auth.organizations (organization_id, name, tier) VALUES ($1, $2, $3)",
        first.organization_id,
        name,
        tier,
    )
    await connection.execute(
        "INSERT INTO auth.projects (project_id, organization_id, name) VALUES ($1, $2, 'Default project')",
        first.project_id,
        first.organization_id,
    )
    await connection.execute(
        "INSERT INTO auth.users (user_id, organization_id, name, role) VALUES ($1, $2, 'Owner', 'owner')",
        first.user_id,
        first.organization_id,
    )
