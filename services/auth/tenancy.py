"""The wall between organisations, with auth's own reaches across it: see `chassis.tenancy`.

Nothing else in this service has the pool, so no statement can run without having entered (migration 0002 has the other
half: row-level security on every table).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from chassis import tenancy
from chassis.postgres import Connection, Pool

T = TypeVar("T")

Reach = Literal["organization", "lookup", "operator"]
"""What a transaction sees beside its own organisation's rows: nothing; what makes a principal, of any key, and the
right to write to keys; which organisations there are."""


class Tenancy:
    """Opens transactions. All methods raise `CapstanError` (UNAVAILABLE, OVERLOADED) when the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._wall = tenancy.Tenancy(pool, "auth")

    @asynccontextmanager
    async def within(self, organization_id: str, *, operator: bool = False) -> AsyncIterator[Connection]:
        """Open a transaction on the rows of one organisation; an operator's sees the names of the others too."""
        reach: Reach = "operator" if operator else "organization"
        async with self._wall.entered(organization_id, reach) as connection:
            yield connection

    @asynccontextmanager
    async def lookup(self) -> AsyncIterator[Connection]:
        """Open a transaction for finding keys by their hash, whoever's they are."""
        async with self._wall.entered("", "lookup") as connection:
            yield connection

    async def retried_lookup(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` as in `lookup`, again when it loses a conflict."""
        return await self._wall.retried("", "lookup", work)


async def enter(connection: Connection, organization_id: str, reach: Reach = "organization") -> None:
    """Let the rest of the transaction be about another organisation."""
    await tenancy.enter(connection, "auth", organization_id, reach)
