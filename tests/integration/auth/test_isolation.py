"""What belongs to another organisation does not exist: by every method, and by the database's own wall."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.errors import CapstanError, Reason
from chassis.postgres import Connection, pool
from services.auth import commands
from services.auth.authority import RULES
from services.auth.settings import Settings
from services.auth.tenancy import Tenancy
from tools.local.postgres import PostgresStore

from .administrator import METHODS, administrator, request_of
from .conftest import Client, Sql
from .world import World, world

OTHER_FIELDS: dict[str, dict[str, Any]] = {
    "AddProjectUser": {"role": "member"},
    "UpdateProjectUser": {"role": "owner"},
    "CreateProject": {"name": "n"},
    "UpdateProject": {"name": "n"},
    "SetModelPermissions": {"permissions": {"mode": "deny_list", "models": ["m"]}},
    "CreateServiceAccount": {"name": "n"},
    "UpdateServiceAccount": {"name": "n"},
    "CreateProjectKey": {"name": "n"},
    "UpdateProjectKey": {"name": "n"},
    "CreateAdminKey": {"name": "n"},
    "RecordSpendingChange": {"setting": "spend_limit"},
    "UpdateProjectRateLimit": {"rate_limit_id": "rl-m", "update_mask": FieldMask(paths=["shadow"])},
    "DeleteProjectRateLimit": {"rate_limit_id": "rl-m"},
    "UpdateOrganizationRateLimit": {"rate_limit_id": "rl-m", "update_mask": FieldMask(paths=["shadow"])},
    "DeleteOrganizationRateLimit": {"rate_limit_id": "rl-m"},
    "UpdateUser": {"role": "owner"},
    "CreateGroup": {"name": "n"},
    "UpdateGroup": {"name": "n"},
    "CreateRole": {"name": "n", "permissions": ["model.request"]},
    "UpdateRole": {"name": "n"},
    "UpdateOrganization": {"name": "n"},
    "CreateOrganization": {"name": "n"},
}
ROLE_METHODS = [method for method, rule in RULES.items() if rule.level == "either"]
CALLERS_FAULT = {
    Reason.INVALID_ARGUMENT,
    Reason.OBJECT_NOT_FOUND,
    Reason.OBJECT_CONFLICT,
    Reason.PERMISSION_DENIED,
    Reason.KEY_INVALID,
}
OPERATORS = {method for method, rule in RULES.items() if rule.level == "operator"}


def ids_of(method: str, it: World) -> dict[str, Any]:
    """The ids that a method's request names, each with that of `it`."""
    found: dict[str, Any] = {}
    for field in request_of(method).DESCRIPTOR.fields:
        if field.name == "key_id":
            found["key_id"] = it.admin_key_id if "Admin" in method else it.key_id
        elif field.name == "role_id":
            found["role_id"] = it.role_id if method in ROLE_METHODS else it.project_role_id
        elif field.name == "project_id" and method in ROLE_METHODS:
            continue  # roles of the organisation; those of a project have a test of their own
        elif field.name == "grantee":
            found["grantee"] = {"group_id": it.group_id}
        elif field.name.endswith("_id") and field.name != "rate_limit_id":
            found[field.name] = getattr(it, field.name)
    return found


@pytest.fixture
async def worlds(client: Client, first: dict[str, str]) -> tuple[World, World]:
    operator = await administrator(client, first["admin_key"])
    return await world(client, operator, "ours"), await world(client, operator, "theirs")


async def everything(sql: Sql, organization_id: str) -> dict[str, list[str]]:
    """All that the database has of an organisation, but when its keys were used."""
    tables = await sql(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'auth' AND"
        " column_name = 'organization_id' AND table_name <> 'grants'"
    )
    return {
        table: sorted(
            str({name: value for name, value in row.items() if name != "last_used_at"})
            for row in await sql(f"SELECT * FROM auth.{table} WHERE organization_id = $1", organization_id)
        )
        for (table,) in tables
    }


async def test_no_method_finds_what_belongs_to_others(worlds: tuple[World, World], sql: Sql) -> None:
    ours, theirs = worlds
    before = await everything(sql, theirs.organization_id)
    tried = 0
    for method in METHODS:
        own, foreign = ids_of(method, ours), ids_of(method, theirs)
        mixtures = [foreign] + [own | {name: foreign[name]} for name in own if len(own) > 1]
        for ids in mixtures if own else []:
            refused = await ours.owner.refused(method, **OTHER_FIELDS.get(method, {}), **ids)
            named = "organization_id" in ids
            expected = Reason.PERMISSION_DENIED if named or method in OPERATORS else Reason.OBJECT_NOT_FOUND
            assert refused.reason is expected, (method, ids, refused)
            tried += 1
    assert tried > 80
    assert await everything(sql, theirs.organization_id) == before


async def test_no_method_on_ones_own_tells_of_others(worlds: tuple[World, World]) -> None:
    ours, theirs = worlds
    for method in METHODS:
        if method.startswith(("List", "Get")) and method not in OPERATORS:
            ids = ids_of(method, ours)
            if method in ("GetProjectUser", "GetGroupUser"):
                ids["user_id"] = ours.user_id
            text = str(await ours.owner(method, **ids))
            assert not [each for each in theirs.ids if each in text], method
            assert "theirs" not in text, method


@pytest.mark.parametrize("method", ROLE_METHODS)
async def test_no_role_of_another_organisations_project_is_found(worlds: tuple[World, World], method: str) -> None:
    ours, theirs = worlds
    own: dict[str, Any] = {"project_id": ours.project_id}
    foreign: dict[str, Any] = {"project_id": theirs.project_id}
    names = {field.name for field in request_of(method).DESCRIPTOR.fields}
    if "role_id" in names:
        own["role_id"], foreign["role_id"] = ours.project_role_id, theirs.project_role_id
    if "grantee" in names:
        own["grantee"], foreign["grantee"] = {"user_id": ours.user_id}, {"user_id": theirs.user_id}
    for ids in [foreign] + [own | {name: foreign[name]} for name in own if len(own) > 1]:
        reason = await ours.owner.reason(method, **OTHER_FIELDS.get(method, {}), **ids)
        assert reason is Reason.OBJECT_NOT_FOUND, ids


async def test_a_key_acts_in_its_own_organisation_alone(worlds: tuple[World, World]) -> None:
    ours, theirs = worlds
    stranger = ours.owner.with_key(ours.owner.key_id, theirs.organization_id)
    assert await stranger.reason("ListProjects") is Reason.KEY_INVALID
    with_project_key = ours.owner.with_key(ours.key_id)
    assert await with_project_key.reason("ListProjects") is Reason.KEY_INVALID


@asynccontextmanager
async def tenancy(dsn: str) -> AsyncIterator[Tenancy]:
    async with pool(dsn, application_name="test", statement_timeout_s=10, acquire_timeout_s=10) as connections:
        yield Tenancy(connections)


async def walled_tables(connection: Connection | asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r'"
        " AND relname <> 'schema_migrations'"
    )
    return [row["relname"] for row in rows]


async def assert_walled(dsn: str, ours: str, theirs: str) -> None:
    """Nothing of an organisation is seen or changed by a statement that forgot to name one."""
    async with tenancy(dsn) as it:
        async with it.within("") as connection:
            tables = await walled_tables(connection)
            for table in tables:
                assert await connection.fetchval(f"SELECT count(*) FROM auth.{table}") == 0, table
            assert await connection.fetchval("SELECT count(*) FROM auth.grants") == 0
        async with it.within(ours) as connection:
            for table in tables:
                seen = {row[0] for row in await connection.fetch(f"SELECT organization_id FROM auth.{table}")}
                assert seen <= {ours}, table
                wrong = f"SELECT count(*) FROM auth.{table} WHERE organization_id = $1 OR true"
                right = f"SELECT count(*) FROM auth.{table} WHERE organization_id = $1"
                assert await connection.fetchval(wrong, theirs) == await connection.fetchval(right, ours), table
            assert await connection.fetchval("SELECT count(*) FROM auth.projects") > 0
            await connection.execute("UPDATE auth.projects SET name = 'taken'")
            await connection.execute("DELETE FROM auth.group_members")
        async with it.within(theirs) as connection:
            assert await connection.fetchval("SELECT count(*) FROM auth.projects WHERE name = 'taken'") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with it.within(ours) as connection:
                await connection.execute("UPDATE auth.projects SET organization_id = $1", theirs)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with it.within(ours) as connection:
                await connection.execute("INSERT INTO auth.groups VALUES ($1, 'group_x', 'x')", theirs)
        async with it.lookup() as connection:
            assert await connection.fetchval("SELECT count(*) FROM auth.keys WHERE organization_id = $1", theirs) > 0
            assert await connection.fetchval("SELECT count(*) FROM auth.audit_log") == 0
            assert await connection.fetchval("SELECT count(*) FROM auth.invites") == 0
            await connection.execute("UPDATE auth.projects SET name = 'taken'")
        async with it.within(theirs, operator=True) as connection:
            assert await connection.fetchval("SELECT count(*) FROM auth.organizations") > 1
            assert await connection.fetchval("SELECT count(*) FROM auth.projects WHERE organization_id = $1", ours) == 0
            assert await connection.fetchval("SELECT count(*) FROM auth.projects WHERE name = 'taken'") == 0


async def test_a_wrong_statement_of_a_superuser_sees_one_organisation(
    worlds: tuple[World, World], postgres_dsn: str
) -> None:
    ours, theirs = worlds
    await assert_walled(postgres_dsn, ours.organization_id, theirs.organization_id)


async def test_a_wrong_statement_of_the_tables_owner_sees_one_organisation(
    postgres_server: PostgresStore, pepper_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"plain_{os.getpid()}"
    postgres_server.execute(f"CREATE ROLE {name} LOGIN")
    postgres_server.execute(f"CREATE DATABASE {name} OWNER {name}")
    try:
        user, _, rest = postgres_server.dsn(name).partition("@")
        dsn = f"{user.rpartition('/')[0]}/{name}@{rest}"
        settings = Settings(dsn=dsn, pepper_file=pepper_file)
        await commands.migrate(settings)
        await commands.bootstrap(settings)
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT current_user") == name
        assert not await connection.fetchval("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = $1", name)
        assert await connection.fetchval("SELECT count(*) FROM auth.organizations") == 0
        for organization_id in ("org-ours", "org-theirs"):
            async with connection.transaction():
                await connection.execute("SELECT auth.enter($1, 'organization')", organization_id)
                await connection.execute("INSERT INTO auth.organizations VALUES ($1, 'x')", organization_id)
                await connection.execute("INSERT INTO auth.projects VALUES ('proj_' || $1, $1, 'x')", organization_id)
                await connection.execute(
                    "INSERT INTO auth.users (user_id, organization_id, name, role)"
                    " VALUES ('user-' || $1, $1, 'x', 'owner')",
                    organization_id,
                )
                await connection.execute(
                    "INSERT INTO auth.keys (key_id, organization_id, owner_id, name, hmac, pepper_id, redacted, scopes,"
                    " kind) VALUES ('key_' || $1, $1, 'user-' || $1, 'x', sha256($1::bytea), 'x', 'x', '{}', 'admin')",
                    organization_id,
                )
        await connection.close()
        await assert_walled(dsn, "org-ours", "org-theirs")
    finally:
        postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        postgres_server.execute(f"DROP ROLE {name}")


async def test_the_log_cannot_be_rewritten_by_the_service(worlds: tuple[World, World], postgres_dsn: str) -> None:
    ours, _ = worlds
    async with tenancy(postgres_dsn) as it:
        for statement in ("UPDATE auth.audit_log SET ip_address = ''", "DELETE FROM auth.audit_log"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with it.within(ours.organization_id) as connection:
                    await connection.execute(statement)


def test_nothing_but_the_wall_has_the_pool() -> None:
    folder = Path(commands.__file__).parent
    own_pool = {
        path.name
        for path in folder.rglob("*.py")
        if path.name not in ("tenancy.py", "app.py", "commands.py") and "Pool" in path.read_text()
    }
    assert own_pool == set()


@pytest.mark.parametrize("text", ["\0", "x" * 100_000, "' OR true --", "\u2028\U0001f600", "role-project-owner"])
async def test_no_text_in_any_field_is_a_fault_of_ours(worlds: tuple[World, World], text: str) -> None:
    ours, _ = worlds
    for method in METHODS:
        own = ids_of(method, ours) | OTHER_FIELDS.get(method, {})
        for field in request_of(method).DESCRIPTOR.fields:
            if field.type != field.TYPE_STRING or (method, field.name) == ("AcceptInvite", "name"):
                continue
            value = [text] if field.is_repeated else text
            try:
                await ours.owner(method, **(own | {field.name: value}))
            except CapstanError as error:
                assert error.reason in CALLERS_FAULT, (method, field.name, error)  # noqa: PT017 - it may also succeed
