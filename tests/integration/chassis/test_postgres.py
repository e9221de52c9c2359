"""The PostgreSQL pool against the real server: bounds, one kind of "away", recovery without a restart."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from chassis.errors import CapstanError, Reason
from chassis.postgres import Connection, MigrationRefused, Pool, migrate, pool
from tests.store_process import StoreProcess, postgres_process


@pytest.fixture
async def db(postgres_dsn: str) -> AsyncIterator[Pool]:
    async with pool(postgres_dsn, application_name="test", max_size=2, acquire_timeout_s=5) as made:
        async with made.acquire() as connection:
            await connection.execute("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, n int)")
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[StoreProcess]:
    folder = Path(tempfile.mkdtemp(prefix="cap-pg-", dir="/tmp"))
    folder.chmod(0o711)  # as root the server may run as another account, which must get through here
    try:
        with postgres_process(folder) as process:
            yield process
    finally:
        shutil.rmtree(folder)


async def one(db: Pool) -> object:
    async with db.acquire() as connection:
        return await connection.fetchval("SELECT 1")


async def answered(db: Pool) -> object:
    """Ask again until there is an answer: the server was just given back."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await one(db)
            except CapstanError:
                await asyncio.sleep(0.05)


async def refused(db: Pool) -> CapstanError:
    with pytest.raises(CapstanError) as caught:
        await one(db)
    assert caught.value.reason is Reason.UNAVAILABLE
    assert caught.value.metadata["service"] == "postgres"
    return caught.value


async def insert_and_fail(connection: Connection) -> None:
    await connection.execute("INSERT INTO t VALUES (2, 1)")
    raise ZeroDivisionError


async def test_a_transaction_commits_at_the_end_and_rolls_back_on_an_exception(db: Pool) -> None:
    async with db.transaction() as connection:
        await connection.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as connection:
            await insert_and_fail(connection)
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT array_agg(id) FROM t") == [1]


async def test_a_statement_that_is_wrong_raises_what_it_is(db: Pool) -> None:
    async with db.acquire() as connection:
        await connection.execute("INSERT INTO t VALUES (1, 1)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO t VALUES (1, 1)")
    for _ in range(4):
        with pytest.raises(asyncpg.UndefinedTableError):
            async with db.acquire() as connection:
                await connection.execute("SELECT * FROM nowhere")
    with pytest.raises(asyncpg.DataError, match="invalid input"):
        async with db.transaction() as connection:
            await connection.execute("INSERT INTO t VALUES ($1, 1)", "text")
    assert not db.is_away
    assert await one(db) == 1


async def test_a_slow_statement_is_ended_and_does_not_make_the_server_away(postgres_dsn: str) -> None:
    async with pool(postgres_dsn, application_name="test", statement_timeout_s=0.05) as db:
        for _ in range(4):
            with pytest.raises(CapstanError) as caught:
                async with db.acquire() as connection:
                    await connection.execute("SELECT pg_sleep(60)")
            assert caught.value.reason is Reason.UNAVAILABLE
        assert not db.is_away
        assert await one(db) == 1


async def test_no_caller_waits_for_a_connection_for_ever(postgres_dsn: str) -> None:
    async with pool(postgres_dsn, application_name="test", max_size=1) as db, db.acquire():
        with pytest.raises(CapstanError) as caught:
            await one(db)
        assert caught.value.reason is Reason.OVERLOADED
    assert not db.is_away


async def test_a_caller_who_leaves_in_the_middle_leaves_nothing_behind(db: Pool) -> None:
    begun = asyncio.Event()

    async def slow() -> None:
        async with db.transaction() as connection:
            await connection.execute("INSERT INTO t VALUES (7, 7)")
            begun.set()
            await connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(slow())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM t") == 0


async def test_deadlocks_are_run_again_and_lose_no_increment(postgres_dsn: str) -> None:
    async with pool(postgres_dsn, application_name="test", max_size=8, acquire_timeout_s=30) as db:
        async with db.acquire() as connection:
            await connection.execute("CREATE TABLE pair (id int PRIMARY KEY, n int)")
            await connection.execute("INSERT INTO pair VALUES (1, 0), (2, 0)")
        both = asyncio.Barrier(2)
        met = set[int]()

        async def add(first: int, connection: Connection) -> None:
            await connection.execute("SET LOCAL deadlock_timeout = '10ms'")
            await connection.execute("UPDATE pair SET n = n + 1 WHERE id = $1", first)
            if first not in met:  # the first time, both hold one row before they want the other
                met.add(first)
                await both.wait()
            await connection.execute("UPDATE pair SET n = n + 1 WHERE id = $1", 3 - first)

        await asyncio.gather(
            db.retried(lambda connection: add(1, connection)), db.retried(lambda connection: add(2, connection))
        )
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT array_agg(n) FROM pair") == [2, 2]


async def test_it_starts_while_the_server_is_away_and_recovers_without_a_restart(server: StoreProcess) -> None:
    server.kill()
    async with pool(server.store.dsn(), application_name="test") as db:
        for _ in range(3):
            await refused(db)
        assert db.is_away
        assert "not tried" in str(await refused(db))
        server.start()
        assert await answered(db) == 1
        assert not db.is_away


async def test_a_killed_server_is_away_and_its_successor_is_found(server: StoreProcess) -> None:
    async with pool(server.store.dsn(), application_name="test") as db:
        assert await answered(db) == 1
        server.kill()
        await refused(db)
        server.start()
        assert await answered(db) == 1


async def test_calls_to_a_frozen_server_end(server: StoreProcess) -> None:
    async with pool(server.store.dsn(), application_name="test", statement_timeout_s=0.2) as db:
        assert await answered(db) == 1
        server.freeze()
        try:
            async with asyncio.timeout(20):
                for _ in range(3):
                    await refused(db)
                assert "not tried" in str(await refused(db))
        finally:
            server.thaw()
        assert await answered(db) == 1


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(text)
    return folder


async def test_migrations_run_once_in_order_into_their_schema(postgres_dsn: str, tmp_path: Path) -> None:
    folder = written(
        tmp_path, m0001_first="CREATE TABLE things (id int);", m0002_second="ALTER TABLE things ADD n int;"
    )
    assert await migrate(postgres_dsn, "first", folder) == ["0001_first", "0002_second"]
    assert await migrate(postgres_dsn, "first", folder) == []
    written(tmp_path, m0003_third="INSERT INTO things VALUES (1, 2); INSERT INTO things VALUES (3, 4);")
    assert await migrate(postgres_dsn, "first", folder) == ["0003_third"]
    async with pool(postgres_dsn, application_name="test") as db, db.acquire() as connection:
        assert await connection.fetchval("SELECT sum(n) FROM first.things") == 6


async def test_a_changed_removed_or_late_migration_is_refused(postgres_dsn: str, tmp_path: Path) -> None:
    folder = written(tmp_path, m0001_a="SELECT 1;", m0003_c="SELECT 3;")
    await migrate(postgres_dsn, "second", folder)
    written(tmp_path, m0001_a="SELECT 2;")
    with pytest.raises(MigrationRefused, match="0001_a was changed"):
        await migrate(postgres_dsn, "second", folder)
    written(tmp_path, m0001_a="SELECT 1;", m0002_b="SELECT 2;")
    with pytest.raises(MigrationRefused, match="0002_b is new"):
        await migrate(postgres_dsn, "second", folder)
    (tmp_path / "0002_b.sql").unlink()
    (tmp_path / "0001_a.sql").unlink()
    with pytest.raises(MigrationRefused, match="0001_a was applied"):
        await migrate(postgres_dsn, "second", folder)


async def test_an_older_release_runs_beside_a_newer_schema(postgres_dsn: str, tmp_path: Path) -> None:
    folder = written(tmp_path, m0001_a="SELECT 1;", m0002_b="SELECT 2;")
    await migrate(postgres_dsn, "third", folder)
    (tmp_path / "0002_b.sql").unlink()
    assert await migrate(postgres_dsn, "third", folder) == []


async def test_a_migration_that_fails_leaves_nothing_of_itself(postgres_dsn: str, tmp_path: Path) -> None:
    folder = written(tmp_path, m0001_a="CREATE TABLE half (id int); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(postgres_dsn, "fourth", folder)
    written(tmp_path, m0001_a="CREATE TABLE half (id int);")
    assert await migrate(postgres_dsn, "fourth", folder) == ["0001_a"]


async def test_many_processes_may_migrate_at_once(postgres_dsn: str, tmp_path: Path) -> None:
    folder = written(tmp_path, m0001_a="CREATE TABLE only_once (id int);")
    done = await asyncio.gather(*(migrate(postgres_dsn, "fifth", folder) for _ in range(5)))
    assert sorted(done) == [[], [], [], [], ["0001_a"]]
