"""Connections to billing's schema, which may not be there yet when a service starts before its migration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from chassis.errors import CapstanError, unavailable
from chassis.postgres import Connection, Pool


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """Borrow a connection. Raises `CapstanError` as the pool does, also when the schema is not there."""
    try:
        async with pool.acquire() as borrowed:
            yield borrowed
    except asyncpg.UndefinedTableError:
        raise unmigrated() from None


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Borrow a connection inside a transaction. Raises as `connection`."""
    try:
        async with pool.transaction() as borrowed:
            yield borrowed
    except asyncpg.UndefinedTableError:
        raise unmigrated() from None


def unmigrated() -> CapstanError:
    """Build the error of a schema that is not there."""
    return unavailable("postgres", "the schema is not there: run `python -m services.billing migrate`")
