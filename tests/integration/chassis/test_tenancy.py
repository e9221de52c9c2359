"""What migrations find of the wall, and what is seen on a connection that entered before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from chassis.postgres import migrate, pool
from chassis.tenancy import Tenancy
from tools.local.postgres import PostgresStore

FIRST = """
create table things (organization_id text not null, name text not null);
insert into things values ('org-a', 'one'), ('org-b', 'two'), ('', 'nobody''s');
select wall('things');
select wall_grant('select, insert', 'things');
"""
LATER = "update things set name = name || '!'"


@pytest.fixture
def owner_dsn(postgres_server: PostgresStore) -> Iterator[str]:
    """A database of a plain role's, whom policies bind."""
    name = f"owner_{os.getpid()}"
    postgres_server.execute(f"CREATE ROLE {name} LOGIN")
    postgres_server.execute(f"CREATE DATABASE {name} OWNER {name}")
    user, _, rest = postgres_server.dsn(name).partition("@")
    yield f"{user.rpartition('/')[0]}/{name}@{rest}"
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    postgres_server.execute(f"DROP ROLE {name}")


def files(folder: Path, **scripts: str) -> Path:
    for name, text in scripts.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(text)
    return folder


async def test_a_later_migration_of_the_tables_owner_rewrites_every_row(owner_dsn: str, tmp_path: Path) -> None:
    await migrate(owner_dsn, "walled", files(tmp_path, m0001_first=FIRST))
    assert await migrate(owner_dsn, "walled", files(tmp_path, m0002_later=LATER)) == ["0002_later"]
    async with pool(owner_dsn, application_name="test", acquire_timeout_s=10) as connections:
        for organization_id, name in (("org-a", "one!"), ("org-b", "two!")):
            async with Tenancy(connections, "walled").entered(organization_id) as connection:
                rows = await connection.fetch("SELECT name FROM walled.things")
            assert [row["name"] for row in rows] == [name]


async def test_a_connection_forgets_whom_it_was_for(owner_dsn: str, tmp_path: Path) -> None:
    await migrate(owner_dsn, "walled", files(tmp_path, m0001_first=FIRST))
    async with pool(owner_dsn, application_name="test", max_size=1, acquire_timeout_s=10) as connections:
        async with Tenancy(connections, "walled").entered("org-a") as connection:
            assert await connection.fetchval("SELECT count(*) FROM walled.things") == 1
        async with connections.acquire() as connection:  # settings are empty now, as if for nobody's rows
            assert await connection.fetchval("SELECT count(*) FROM walled.things") == 0


async def test_a_transaction_that_failed_to_enter_does_nothing(owner_dsn: str, tmp_path: Path) -> None:
    await migrate(owner_dsn, "walled", files(tmp_path, m0001_first=FIRST))
    async with pool(owner_dsn, application_name="test", acquire_timeout_s=10) as connections:
        with pytest.raises(asyncpg.PostgresError):
            async with Tenancy(connections, "walled").entered("org\0"):
                pytest.fail("it was entered")


async def test_a_snapshot_sees_one_moment(owner_dsn: str, tmp_path: Path) -> None:
    await migrate(owner_dsn, "walled", files(tmp_path, m0001_first=FIRST))
    async with pool(owner_dsn, application_name="test", acquire_timeout_s=10) as connections:
        tenancy = Tenancy(connections, "walled")
        async with tenancy.entered("org-a", snapshot=True) as early:
            async with tenancy.entered("org-a") as late:
                await late.execute("INSERT INTO walled.things VALUES ('org-a', 'new')")
            assert await early.fetchval("SELECT count(*) FROM walled.things") == 1
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await early.execute("INSERT INTO walled.things VALUES ('org-a', 'newer')")
