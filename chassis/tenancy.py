"""The wall between organisations: every transaction says whose rows it is about, and PostgreSQL holds it to that.

Where a service keeps rows of many organisations, nothing else in it has the pool, so no statement can run without
having entered. `chassis/wall.sql` has the other half: row-level security, which the migrations of each schema put on
every table. What must go across organisations names its reach, and a policy of that name says what it may touch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import asyncpg

from chassis.errors import CapstanError, unavailable
from chassis.postgres import Connection, Pool

T = TypeVar("T")

OWN = "organization"
"""The reach of a transaction that sees its own organisation's rows and no other."""

# Policies do not bind a superuser or a role with BYPASSRLS, so such a login continues as the schema's role, which is
# neither, until the transaction ends. All three settings end with it.
_ENTER = """
SELECT set_config('capstan.organization_id', $1, true), set_config('capstan.reach', $2, true),
    CASE WHEN (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)
        THEN set_config('role', $3, true) END
"""


class Tenancy:
    """Opens transactions on one schema. All methods raise `CapstanError` (UNAVAILABLE, OVERLOADED) when the database
    is away, or the schema is not there.
    """

    def __init__(self, pool: Pool, schema: str) -> None:
        self._pool = pool
        self._schema = schema

    @asynccontextmanager
    async def entered(
        self, organization_id: str, reach: str = OWN, *, snapshot: bool = False
    ) -> AsyncIterator[Connection]:
        """Open a transaction on the rows of one organisation, and on what `reach` adds to them.

        An empty `organization_id` is nobody's. A `snapshot` is one moment of the database, and changes nothing.
        """
        with self._migrated():
            async with self._pool.transaction(readonly=snapshot, snapshot=snapshot) as connection:
                await enter(connection, self._schema, organization_id, reach)
                yield connection

    async def retried(self, organization_id: str, reach: str, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` as in `entered`, again from the start when it loses a conflict."""

        async def entered(connection: Connection) -> T:
            await enter(connection, self._schema, organization_id, reach)
            return await work(connection)

        with self._migrated():
            return await self._pool.retried(entered)

    @contextmanager
    def _migrated(self) -> Iterator[None]:
        try:
            yield
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError):
            raise _unmigrated(self._schema) from None


async def enter(connection: Connection, schema: str, organization_id: str, reach: str = OWN) -> None:
    """Let the rest of the transaction be about another organisation. Raises `CapstanError` (UNAVAILABLE)."""
    try:
        await connection.execute(_ENTER, organization_id, reach, f"capstan_{schema}")
    except asyncpg.InvalidParameterValueError:  # there is no such role
        raise _unmigrated(schema) from None


def _unmigrated(schema: str) -> CapstanError:
    return unavailable("postgres", f"the schema {schema} is not there yet: run `migrate`")
