"""The first organisation, with a project, its owner and their keys: what an empty installation needs to be of use."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from chassis.ids import Ids
from chassis.postgres import Connection
from services.auth.audit import INSTALLATION, record
from services.auth.minting import Mint, NewKey
from services.auth.tenancy import Tenancy, enter


@dataclass(frozen=True, slots=True)
class First:
    """What was made. The keys are here and nowhere else."""

    organization_id: str
    project_id: str
    user_id: str
    api_key: str = field(repr=False)
    """Of the project."""
    admin_key: str = field(repr=False)
    """Of the administration, and of whoever operates the installation: it can make further organisations."""

    def words(self) -> dict[str, str]:
        """Answer it as it is printed."""
        return asdict(self)


async def bootstrap(tenancy: Tenancy, mint: Mint, ids: Ids, *, name: str, tier: str) -> First | None:
    """Make the first organisation; answer None when there is any already, however often and at once this is called."""
    organization_id, project_id, user_id = ids.new("org-"), ids.new("proj_"), ids.new("user-")
    async with tenancy.within(organization_id, operator=True) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('capstan.auth.bootstrap'))")
        if await connection.fetchval("SELECT EXISTS (SELECT FROM auth.organizations)"):
            return None
        await _insert(connection, organization_id, project_id, user_id, name, tier)
        key = await mint.make(connection, NewKey("user", organization_id, project_id, user_id, "First key"))
        admin = NewKey("admin", organization_id, None, user_id, "First admin key", operator=True)
        admin_key = await mint.make(connection, admin)
        for action, name_, project in (
            ("project.created", project_id, project_id),
            ("user.added", user_id, None),
            ("api_key.created", key.id, project_id),
            ("api_key.created", admin_key.id, None),
        ):
            await record(connection, ids, INSTALLATION, organization_id, action, [name_], project_id=project)
    return First(organization_id, project_id, user_id, key.key, admin_key.key)


async def _insert(
    connection: Connection, organization_id: str, project_id: str, user_id: str, name: str, tier: str
) -> None:
    await connection.execute(
        "INSERT INTO auth.organizations (organization_id, name, tier) VALUES ($1, $2, $3)", organization_id, name, tier
    )
    await connection.execute(
        "INSERT INTO auth.projects (organization_id, project_id, name) VALUES ($1, $2, 'Default project')",
        organization_id,
        project_id,
    )
    await connection.execute(
        "INSERT INTO auth.users (organization_id, user_id, name, role) VALUES ($1, $2, 'Owner', 'owner')",
        organization_id,
        user_id,
    )


async def operator_key(tenancy: Tenancy, mint: Mint, ids: Ids) -> str | None:
    """Make another admin key of the first organisation's first owner; answer None when there is neither.

    For installations that are older than admin keys, and for operators who lost theirs: whoever can run this has the
    database and the pepper, and so every key there is.
    """
    async with tenancy.within("", operator=True) as connection:
        organization_id = await connection.fetchval(
            "SELECT organization_id FROM auth.organizations ORDER BY created_at, organization_id LIMIT 1"
        )
        if organization_id is None:
            return None
        await enter(connection, organization_id)
        owner_id = await connection.fetchval(
            "SELECT user_id FROM auth.users WHERE organization_id = $1 AND role = 'owner' AND deleted_at IS NULL"
            " AND disabled_at IS NULL ORDER BY created_at, user_id LIMIT 1",
            organization_id,
        )
        if owner_id is None:
            return None
        made = await mint.make(connection, NewKey("admin", organization_id, None, owner_id, "Operator", operator=True))
        await record(connection, ids, INSTALLATION, organization_id, "api_key.created", [made.id])
    return made.key
