"""The wall between organisations: every transaction says whose rows it is about, and PostgreSQL holds it to that.

Nothing else in this service has the pool, so no statement can run without having entered (migration 0002 has the other
half: row-level security on every table).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal, TypeVar

import asyncpg

from chassis.errors import unavailable
from chassis.postgres import Connection, Pool

T = TypeVar("T")

Reach = Literal["organization", "lookup", "operator"]
"""What a transaction sees beside its own organisation's rows: nothing; what makes a principal, of any key, and the
right to write to keys; which organisations there are."""

_ENTER = "SELECT auth.enter($1, $2)"


class Tenancy:
    """Opens transactions. All methods raise `CapstanError` (UNAVAILABLE, OVERLOADED) when the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def within(self, organization_id: str, *, operator: bool = False) -> AsyncIterator[Connection]:
        """Open a transaction on the rows of one organisation; an operator's sees the names of the others too."""
        async with self._entered(organization_id, "operator" if operator else "organization") as connection:
            yield connection

    @asynccontextmanager
    async def lookup(self) -> AsyncIterator[Connection]:
        """Open a transaction for finding keys by their hash, whoever's they are."""
        async with self._entered("", "lookup") as connection:
            yield connection

    async def retried_lookup(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` as in `lookup`, again when it loses a conflict."""

        async def entered(connection: Connection) -> T:
            await connection.execute(_ENTER, "", "lookup")
            return await work(connection)

        with _migrated():
            return await self._pool.retried(entered)

    @asynccontextmanager
    async def _entered(self, organization_id: str, reach: Reach) -> AsyncIterator[Connection]:
        with _migrated():
            async with self._pool.transaction() as connection:
                await enter(connection, organization_id, reach)
                yield connection


async def enter(connection: Connection, organization_id: str, reach: Reach = "organization") -> None:
    """Let the rest of the transaction be about another organisation."""
    await connection.execute(_ENTER, organization_id, reach)


@contextmanager
def _migrated() -> Iterator[None]:
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError):
        raise unavailable("postgres", "the schema auth is not there yet: run `migrate`") from None
