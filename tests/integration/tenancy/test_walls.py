"""A statement that is wrong sees one organisation, in every table of every schema, whoever the service logs in as."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from chassis.errors import CapstanError, Reason
from chassis.postgres import Connection, migrate, pool
from chassis.tenancy import Tenancy
from services.billing import commands as billing
from services.billing import parked_command, reaches
from services.billing.settings import Settings
from services.jobs.store import EXPIRY
from services.jobs.store import Store as Files
from services.jobs.stored_store import StoredStore
from tests.integration.billing.conftest import NOON
from tests.integration.tenancy.worlds import FILL, noon
from tools.local.postgres import PostgresStore

SERVICES = Path(__file__).parents[3] / "services"
SCHEMAS = sorted(folder.parent.name for folder in SERVICES.glob("*/migrations"))
OURS, THEIRS = "org-ours", "org-theirs"

NOBODYS = {(schema, "schema_migrations"): "which migrations were applied" for schema in SCHEMAS} | {
    ("billing", "price_versions"): "one price book for all, which everybody may read"
}
"""Tables that are not behind the wall, and what they hold instead of an organisation's rows."""

LEDGER = {"usage_events", "accounts", "usage_minutes", "usage_days", "spending"}
SEEN: dict[tuple[str, str], set[str]] = {
    ("jobs", EXPIRY): {"files", "stored"},
    ("billing", reaches.INGEST): LEDGER | {"engine_usage", "dead_letters"},
    ("billing", reaches.PARKED): {"dead_letters"},
    ("billing", reaches.WITNESS): {"engine_usage", "usage_events", "dead_letters"},
    ("billing", reaches.BUDGETS): {
        "spend_limits",
        "spending",
        "credit_grants",
        "payment_terms",
        "accounts",
        "usage_events",
        "corrections",
    },
    ("billing", reaches.ALERTS): {"spend_alerts", "spend_limits", "spending", "alert_firings"},
}
"""What each reach sees of everybody; `verify` sees all."""

LOGINS = ["superuser", "owner"]


@pytest.fixture(scope="module", params=LOGINS)
def dsn(request: pytest.FixtureRequest, postgres_server: PostgresStore) -> Iterator[str]:
    """An empty database as the login of the services: a superuser, or a plain role that owns what it migrates."""
    name = f"walls_{request.param}_{os.getpid()}"
    postgres_server.execute(f"CREATE ROLE {name} LOGIN {'SUPERUSER' if request.param == 'superuser' else ''}")
    postgres_server.execute(f"CREATE DATABASE {name} OWNER {name}")
    user, _, rest = postgres_server.dsn(name).partition("@")
    yield f"{user.rpartition('/')[0]}/{name}@{rest}"
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    owned = f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE {name}"
    postgres_server.execute(owned)


@asynccontextmanager
async def tenancies(dsn: str) -> AsyncIterator[dict[str, Tenancy]]:
    async with pool(dsn, application_name="test", statement_timeout_s=10, acquire_timeout_s=10) as connections:
        yield {schema: Tenancy(connections, schema) for schema in SCHEMAS}


@pytest.fixture
async def walls(dsn: str) -> AsyncIterator[dict[str, Tenancy]]:
    """Everything migrated, and two organisations in each table of billing and jobs."""
    assert await billing.migrate(Settings(dsn=SecretStr(dsn))) == 0
    for schema in SCHEMAS:
        await migrate(dsn, schema, SERVICES / schema / "migrations")
    async with tenancies(dsn) as made:
        async with made["jobs"].entered(OURS) as connection:
            filled = await connection.fetchval("SELECT count(*) FROM jobs.files")
        for schema, organization_id in [] if filled else itertools.product(FILL, (OURS, THEIRS)):
            await FILL[schema](made[schema], organization_id)
        yield made


async def tables_of(connection: Connection | asyncpg.Connection, schema: str) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p')", schema
    )
    return sorted(row["relname"] for row in rows if (schema, row["relname"]) not in NOBODYS)


async def test_every_table_of_every_schema_has_the_organisation_and_a_wall_that_binds_its_owner(
    walls: dict[str, Tenancy], dsn: str
) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            """
            SELECT nspname, relname, relkind::text, relrowsecurity AND relforcerowsecurity AS walled,
                coalesce(reloptions::text LIKE '%security_invoker=true%', false) AS invoker,
                EXISTS (SELECT FROM pg_attribute WHERE attrelid = it.oid AND attname = 'organization_id'
                    AND attnotnull AND NOT attisdropped) AS owned
            FROM pg_class AS it JOIN pg_namespace AS space ON space.oid = relnamespace
            WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname <> 'information_schema' AND nspname !~ '^pg_'
            """
        )
        roles = await connection.fetch(
            "SELECT * FROM pg_roles WHERE rolname = ANY($1)", [f"capstan_{s}" for s in SCHEMAS]
        )
    finally:
        await connection.close()
    tables = {(row["nspname"], row["relname"]): row for row in rows if row["relkind"] in "rpmf"}
    assert {schema for schema, _ in tables} == set(SCHEMAS)
    bare = {name for name, row in tables.items() if not (row["walled"] and row["owned"])}
    assert bare == NOBODYS.keys()
    assert [row["relname"] for row in rows if row["relkind"] == "v" and not row["invoker"]] == []
    assert len(tables) > 30
    assert len(roles) == len(SCHEMAS)
    assert not any(role["rolsuper"] or role["rolbypassrls"] or role["rolcanlogin"] for role in roles)


@pytest.mark.parametrize("schema", sorted(FILL))
async def test_a_wrong_statement_sees_its_own_organisation_alone(walls: dict[str, Tenancy], schema: str) -> None:
    it = walls[schema]
    async with it.entered(OURS) as connection:
        for table in await tables_of(connection, schema):
            wrong = f"SELECT organization_id FROM {schema}.{table} WHERE organization_id = $1 OR true"
            assert {row[0] for row in await connection.fetch(wrong, THEIRS)} == {OURS}, table
    for name in ("", "org-nobody", "%", "org-"):
        async with it.entered(name) as connection:
            for table in await tables_of(connection, schema):
                assert await connection.fetchval(f"SELECT count(*) FROM {schema}.{table}") == 0, (name, table)


@pytest.mark.parametrize("schema", sorted(FILL))
async def test_nothing_is_written_to_another_organisation(walls: dict[str, Tenancy], schema: str) -> None:
    it = walls[schema]
    async with it.entered(OURS) as connection:
        tables = await tables_of(connection, schema)
    for table in tables:
        async with it.entered(THEIRS) as connection:
            before = await connection.fetch(f"SELECT * FROM {schema}.{table}")
        assert before, table
        for statement in (
            f"UPDATE {schema}.{table} SET organization_id = '{THEIRS}'",
            f"INSERT INTO {schema}.{table} SELECT (row).* FROM (SELECT jsonb_populate_record(it,"
            f' \'{{"organization_id": "{THEIRS}"}}\') AS row FROM {schema}.{table} AS it) AS made',
        ):
            with pytest.raises(asyncpg.PostgresError) as refused:
                async with it.entered(OURS) as connection:
                    await connection.execute(statement)
            # Its policy, its privileges, or that it is append-only: never a violation that tells of others' rows.
            assert isinstance(refused.value, asyncpg.InsufficientPrivilegeError | asyncpg.RestrictViolationError), table
        async with it.entered(THEIRS) as connection:
            assert await connection.fetch(f"SELECT * FROM {schema}.{table}") == before


async def test_whoever_has_not_entered_sees_nothing(walls: dict[str, Tenancy], dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        bound = not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        for schema in sorted(FILL):
            tables = await tables_of(connection, schema)
            if not bound:  # policies do not bind a superuser: that is why entering leaves it for this role
                await connection.execute(f"SET ROLE capstan_{schema}")
            for table in tables:
                assert await connection.fetchval(f"SELECT count(*) FROM {schema}.{table}") == 0, table
            await connection.execute("RESET ROLE")
    finally:
        await connection.close()


@pytest.mark.parametrize(("schema", "reach"), sorted(SEEN))
async def test_a_reach_sees_what_it_needs_of_everybody_and_no_more(
    walls: dict[str, Tenancy], schema: str, reach: str
) -> None:
    async with walls[schema].entered("", reach) as connection:
        seen = {
            table
            for table in await tables_of(connection, schema)
            if {row[0] for row in await connection.fetch(f"SELECT organization_id FROM {schema}.{table}")}
            >= {OURS, THEIRS}
        }
    assert seen == SEEN[schema, reach]


async def test_verify_reads_all_the_books_and_writes_none(walls: dict[str, Tenancy], dsn: str) -> None:
    async with walls["billing"].entered("", reaches.VERIFY, snapshot=True) as connection:
        for table in await tables_of(connection, "billing"):
            seen = {row[0] for row in await connection.fetch(f"SELECT organization_id FROM billing.{table}")}
            assert seen == {OURS, THEIRS}, table
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("UPDATE billing.accounts SET event_count = 0")


async def test_the_books_are_checked_and_parked_events_tried_across_the_wall(
    walls: dict[str, Tenancy], dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(dsn=SecretStr(dsn))
    assert await parked_command.done(parked_command.arguments(["retry"]), settings) == 1
    assert '{"recorded": 0, "parked": 2}' in capsys.readouterr().out
    await billing.verify(settings)
    said = capsys.readouterr().out
    assert "4 events, 0 differ" in said
    assert [line.split()[0] for line in said.splitlines() if line.split()[1] == "FAIL"] == ["I12"]


async def test_what_has_expired_goes_whosesoever_it_is(walls: dict[str, Tenancy]) -> None:
    files = Files(walls["jobs"], lambda: NOON + timedelta(hours=2))
    answers = StoredStore(walls["jobs"], lambda: NOON + timedelta(days=31), timedelta(days=30))
    assert await files.purge(10) == 2
    assert await answers.purge(10) == 2
    for organization_id in (OURS, THEIRS):
        await FILL["jobs"](walls["jobs"], organization_id)
    assert await Files(walls["jobs"], noon).purge(10) == 0


async def test_a_schema_that_is_not_there_is_unavailable(walls: dict[str, Tenancy], dsn: str) -> None:
    async with pool(dsn, application_name="test", acquire_timeout_s=10) as connections:
        with pytest.raises(CapstanError) as refused:
            async with Tenancy(connections, "nowhere").entered(OURS) as connection:
                await connection.fetch("SELECT * FROM nowhere.files")
        assert refused.value.reason is Reason.UNAVAILABLE


@pytest.mark.parametrize("schema", sorted(FILL))
def test_nothing_but_the_wall_has_the_pool(schema: str) -> None:
    rim = {"app.py", "commands.py", "invoice_command.py"}
    others = [path for path in (SERVICES / schema).rglob("*.py") if path.name not in rim]
    assert [path.name for path in others if re.search(r"import.*\bPool\b|asyncpg\.connect", path.read_text())] == []
    assert others
