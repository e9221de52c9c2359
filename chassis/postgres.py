"""PostgreSQL as the services use it: every wait has a bound, and "away" is one kind of error.

Thin over asyncpg. What it adds: a pool that starts while the server is away, a breaker, one translation of the many
ways in which a database can be away (refused, reset, frozen, starting, shutting down, full) into UNAVAILABLE, and
migrations. An answer that is the statement's own fault (a unique violation, a syntax error) passes unchanged.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from chassis.breaker import Breaker
from chassis.errors import CapstanError, Reason, unavailable

T = TypeVar("T")

Connection = PoolConnectionProxy
"""A connection while it is borrowed from the pool."""

_GRACE_S = 0.5
"""How long after the server's own statement timeout a silent server is given up."""

_WALL = Path(__file__).with_name("wall.sql")
"""What migrations put tables behind the wall between organisations with: see chassis/tenancy.py."""

_MIGRATION_WAIT_S = 60
"""How long a migration waits for another one to finish, or for a lock on a table."""

_AWAY: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What says that the server is away, starting, shutting down, full, too slow, or not (yet) ours to write to."""

_DROPPED: tuple[type[BaseException], ...] = (*_AWAY, asyncio.CancelledError)
_NOT_OPENED: tuple[type[Exception], ...] = (*_AWAY, asyncpg.InterfaceError, asyncpg.InternalClientError)
_NOT_MIGRATED: tuple[type[Exception], ...] = (*_AWAY, asyncpg.LockNotAvailableError)


class Pool:
    """At most `max_size` connections, opened when first needed. Made by `pool`."""

    def __init__(
        self,
        inner: asyncpg.Pool,
        breaker: Breaker,
        *,
        max_size: int,
        acquire_timeout_s: float,
        jitter: Callable[[], float],
    ) -> None:
        self._inner = inner
        self._breaker = breaker
        self._slots = asyncio.Semaphore(max_size)
        self._acquire_timeout_s = acquire_timeout_s
        self._jitter = jitter

    @property
    def is_away(self) -> bool:
        """True while the breaker is open: calls are refused without being tried."""
        return self._breaker.is_open

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Borrow a connection; each statement on it commits by itself.

        A connection on which the caller was cancelled or a timeout passed is dropped, not waited for. Session state
        (SET without LOCAL, session advisory locks, LISTEN) must not be left behind: connections are not reset. Do
        nothing inside but talk to the database: an OSError or TimeoutError raised inside is taken for its failure.

        Raises:
            CapstanError: OVERLOADED when no connection came free in time; UNAVAILABLE (`service`="postgres").
        """
        if not self._breaker.allows():
            raise unavailable("postgres", "not tried: the last calls failed")
        async with self._slot():
            connection = await self._opened()
            try:
                yield connection
            except asyncio.CancelledError:
                _drop(connection)
                raise
            except Exception as error:
                if not (isinstance(error, _AWAY) or _is_closed(connection)):
                    self._breaker.succeeded()
                    raise
                _drop(connection)
                raise self._away(error) from error
            else:
                self._breaker.succeeded()
            finally:
                await self._inner.release(connection, timeout=self._acquire_timeout_s)

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False, snapshot: bool = False) -> AsyncIterator[Connection]:
        """Borrow a connection inside a transaction: committed at the end, rolled back on any exception.

        A `snapshot` sees one moment of the database from its first statement to its last.

        Raises:
            CapstanError: as `acquire`. After UNAVAILABLE it is unknown whether the commit took place.
        """
        async with self.acquire() as connection:
            transaction = connection.transaction(isolation="repeatable_read" if snapshot else None, readonly=readonly)
            await transaction.start()
            try:
                yield connection
            except _DROPPED:
                raise  # the connection is about to be dropped, and its transaction with it
            except BaseException:
                if not _is_closed(connection):
                    await transaction.rollback()
                raise
            else:
                await transaction.commit()

    async def retried(self, work: Callable[[Connection], Awaitable[T]], *, attempts: int = 5) -> T:
        """Run `work` in a transaction, again from the start when it loses a deadlock or a serialization conflict.

        Raises:
            CapstanError: as `transaction`; UNAVAILABLE after `attempts` conflicts in a row.
        """
        for attempt in range(attempts):
            try:
                async with self.transaction() as connection:
                    return await work(connection)
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                await asyncio.sleep(0.02 * 2**attempt * self._jitter())
        raise unavailable("postgres", f"{attempts} conflicts in a row")

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._acquire_timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise CapstanError(Reason.OVERLOADED, "all connections are in use", retry_after_ms="500") from None
        try:
            yield
        finally:
            self._slots.release()

    async def _opened(self) -> Connection:
        try:
            return await self._inner.acquire(timeout=self._acquire_timeout_s)
        except _NOT_OPENED as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> CapstanError:
        if isinstance(error, asyncpg.QueryCanceledError):
            self._breaker.succeeded()  # a slow statement that the server itself ended: the server is there
        else:
            self._breaker.failed()
        return unavailable("postgres", f"{type(error).__name__}: {error}")


@asynccontextmanager
async def pool(
    dsn: str,
    *,
    application_name: str,
    max_size: int = 8,
    statement_timeout_s: float = 2.0,
    acquire_timeout_s: float = 0.5,
    jitter: Callable[[], float] = random.random,
) -> AsyncIterator[Pool]:
    """Make a pool on the database `dsn`; succeeds while the server is away.

    `application_name` is what pg_stat_activity shows. The server ends a statement after `statement_timeout_s`; the
    client gives a silent server up half a second later. `acquire_timeout_s` bounds the wait for a free connection, and
    once more the time to open one.
    """
    inner = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        timeout=acquire_timeout_s,
        command_timeout=statement_timeout_s + _GRACE_S,
        reset=_leave,
        server_settings={
            "application_name": application_name,
            "statement_timeout": str(round(statement_timeout_s * 1000)),
            "idle_in_transaction_session_timeout": "60000",
            "jit": "off",
        },
    )
    breaker = Breaker(asyncio.get_running_loop().time)
    try:
        yield Pool(inner, breaker, max_size=max_size, acquire_timeout_s=acquire_timeout_s, jitter=jitter)
    finally:
        try:
            async with asyncio.timeout(statement_timeout_s + _GRACE_S):
                await inner.close()
        except TimeoutError:
            inner.terminate()


def _is_closed(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool took it back when the server hung up
        return True


def _drop(connection: Connection) -> None:
    if not _is_closed(connection):
        connection.terminate()


async def _leave(_connection: asyncpg.Connection) -> None:
    """Spare the round trip of a reset when a connection comes back."""


class MigrationRefused(Exception):  # noqa: N818 - it is a refusal, not a fault
    """The files and the database do not tell the same history."""


async def migrate(dsn: str, schema: str, folder: Path) -> list[str]:
    """Bring `schema` up to the newest of `folder`'s files `NNNN_name.sql`; answer the names of those applied now.

    Each file runs in a transaction of its own with `search_path` set to the schema, once, in order, however many
    processes call this at the same time. It finds the functions of `wall.sql`, and sees the rows behind the wall.
    Files that the database has and the folder has not are fine when they are newer: an older release may run beside a
    newer one.

    Raises:
        MigrationRefused: a file was changed, removed or added before ones that were applied already.
        CapstanError: UNAVAILABLE when the server is away or another migration holds the lock for over a minute.
    """
    if not re.fullmatch(r"[a-z][a-z_]*", schema):
        raise ValueError(f"not a schema's name: {schema!r}")
    files = _scripts(folder)
    settings = {"application_name": f"migrate {schema}", "lock_timeout": str(_MIGRATION_WAIT_S * 1000)}
    try:
        connection = await asyncpg.connect(dsn, timeout=5, server_settings=settings)
        try:
            return await _brought_up(connection, schema, files)
        finally:
            await connection.close(timeout=5)
    except _NOT_MIGRATED as error:
        raise unavailable("postgres", f"{type(error).__name__}: {error}") from error


def _scripts(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("[0-9]*.sql"))}


async def _brought_up(connection: asyncpg.Connection, schema: str, files: dict[str, str]) -> list[str]:
    await connection.execute("SELECT pg_advisory_lock(hashtext($1))", f"capstan.migrate.{schema}")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    await connection.execute(f"SET search_path TO {schema}")
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        " version text PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = await connection.fetch("SELECT name, sha256 FROM schema_migrations ORDER BY version")
    applied = {row["name"]: row["sha256"] for row in rows}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    check_history(applied, digests)
    missing = [name for name in sorted(files) if name not in applied]
    if missing:
        await connection.execute(_WALL.read_text(encoding="utf-8"))
    for name in missing:
        async with connection.transaction():
            await connection.execute("SET LOCAL capstan.reach = 'migration'")
            await connection.execute(files[name])
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
                name.partition("_")[0],
                name,
                digests[name],
            )
    return missing


def check_history(applied: dict[str, str], files: dict[str, str]) -> None:
    """Compare name -> SHA-256 of what was applied with that of the files.

    Raises:
        MigrationRefused: they differ in more than newer names on either side.
    """
    newest_file, newest_applied = max(files, default=""), max(applied, default="")
    for name in sorted(applied.keys() | files.keys()):
        if name not in files:
            if name < newest_file:
                raise MigrationRefused(f"{name} was applied and its file is gone")
        elif name not in applied:
            if name < newest_applied:
                raise MigrationRefused(f"{name} is new and {newest_applied} was applied already")
        elif applied[name] != files[name]:
            raise MigrationRefused(f"{name} was changed after it was applied: write another file instead")
