"""Stored answers in PostgreSQL. No call reaches the table but through `TenantStored`, which adds the tenant."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from chassis.tenancy import Tenancy
from services.jobs import stored, stored_sql
from services.jobs.files import Order, Tenant, check_tenant
from services.jobs.store import EXPIRY
from services.jobs.stored import Kind, Stored, StoredPage


class StoredStore:
    """The stored answers of all tenants. Every method, here and in `TenantStored`, raises `CapstanError`: UNAVAILABLE
    when PostgreSQL is away, OVERLOADED when no connection comes free.
    """

    def __init__(self, tenancy: Tenancy, now: Callable[[], datetime], lifetime: timedelta) -> None:
        self._tenancy = tenancy
        self._now = now
        self._lifetime = lifetime

    def of(self, tenant: Tenant, kind: Kind) -> TenantStored:
        """Answer the objects of one tenant. Raises `CapstanError` (INVALID_ARGUMENT) unless `tenant` names one."""
        check_tenant(tenant)
        now = self._now()
        return TenantStored(self._tenancy, tenant, kind, now, now - self._lifetime)

    async def purge(self, most: int) -> int:
        """Remove up to `most` objects that are too old, whosesoever; answer how many."""
        async with self._tenancy.entered("", EXPIRY) as borrowed:
            count: int = await borrowed.fetchval(stored_sql.PURGE, self._now() - self._lifetime, most)
        return count


class TenantStored:
    """The objects of one kind of one tenant at one moment. Made by `StoredStore.of`."""

    def __init__(self, tenancy: Tenancy, tenant: Tenant, kind: Kind, now: datetime, since: datetime) -> None:
        self.now = now
        self._tenancy = tenancy
        self._tenant = tenant
        self._kind = kind
        self._since = since

    async def put(self, new: Stored) -> None:
        """Keep `new`; durable on return. One that is there already stays as it is."""
        await self._rows(
            stored_sql.PUT,
            new.object_id,
            new.create_time,
            new.model,
            json.dumps(dict(new.metadata)),
            new.previous_id,
            new.answer_json,
            new.input_json,
            bare=True,
        )

    async def get(self, object_id: str) -> Stored:
        """Answer one object. Raises `CapstanError` (OBJECT_NOT_FOUND)."""
        return self._one(await self._named(stored_sql.GET, object_id), object_id)

    async def thread(self, object_id: str) -> list[Stored]:
        """Answer an object and what it goes on from, oldest first.

        Raises:
            CapstanError: OBJECT_NOT_FOUND when one of them is not there, INVALID_ARGUMENT when they are too many.
        """
        most = stored.LONGEST_THREAD
        rows = await self._named(stored_sql.THREAD, object_id, most, stored.MOST_BYTES)
        self._one(rows, object_id)
        previous_id = rows[-1]["previous_id"]
        if previous_id:
            # Something is missing: it is not there, or it did not fit.
            await self.get(previous_id)
            raise stored.invalid("object_id", f"goes on from more than {most} objects, or from too large ones")
        return [self._stored(row) for row in reversed(rows)]

    async def page(self, *, model: str, metadata: Mapping[str, str], after: str, order: Order, size: int) -> StoredPage:
        """Answer up to `size` objects beyond the one with id `after` (empty: from the start) that fit the filters.

        Raises:
            CapstanError: OBJECT_NOT_FOUND when there is no object `after`.
        """
        last = self._first(await self._named(stored_sql.CURSOR, after), after) if after else None
        if not stored.could_match(model, metadata):
            return StoredPage([], has_more=False)
        rows = await self._rows(
            stored_sql.LIST[order],
            model,
            json.dumps(dict(metadata)),
            last["create_time"] if last else None,
            last["object_id"] if last else None,
            size + 1,
            stored.MOST_PAGE_BYTES,
        )
        kept = [self._stored(row) for row in rows[:size]]
        return StoredPage(kept, has_more=bool(rows) and rows[0]["page_count"] > len(kept))

    async def update(self, object_id: str, metadata: Mapping[str, str]) -> Stored:
        """Replace an object's metadata. Raises `CapstanError` (OBJECT_NOT_FOUND)."""
        return self._one(await self._named(stored_sql.UPDATE, object_id, json.dumps(dict(metadata))), object_id)

    async def delete(self, object_id: str) -> None:
        """Remove one object. Raises `CapstanError` (OBJECT_NOT_FOUND)."""
        self._first(await self._named(stored_sql.DELETE, object_id), object_id)

    async def _named(self, statement: str, object_id: str, *arguments: object) -> list[Any]:
        return await self._rows(statement, object_id, *arguments) if stored.could_exist(object_id) else []

    async def _rows(self, statement: str, *arguments: object, bare: bool = False) -> list[Any]:
        """Run a statement for this tenant; the only way from here to the database. `bare`: it reads nothing."""
        tenant = self._tenant
        async with self._tenancy.entered(tenant.organization_id) as borrowed:
            return list(
                await borrowed.fetch(
                    statement if bare else stored_sql.MINE + statement,
                    tenant.organization_id,
                    tenant.project_id,
                    self._kind.value,
                    self._since,
                    *arguments,
                )
            )

    def _first(self, rows: list[Any], object_id: str) -> Any:
        if not rows:
            raise stored.not_found(self._kind, object_id)
        return rows[0]

    def _one(self, rows: list[Any], object_id: str) -> Stored:
        return self._stored(self._first(rows, object_id))

    def _stored(self, row: Any) -> Stored:
        return Stored(
            self._kind,
            row["object_id"],
            row["create_time"],
            row["model"],
            json.loads(row["metadata"]),
            row["previous_id"],
            row["answer_json"],
            row["input_json"],
        )
