"""Files' metadata in PostgreSQL. No call reaches the table but through `TenantFiles`, which adds the tenant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from chassis.errors import unavailable
from chassis.tenancy import Tenancy
from services.jobs import files, sql
from services.jobs.files import File, Order, Page, Purpose, Tenant

EXPIRY = "expiry"
"""The reach across organisations that removes what has expired."""


class Store:
    """The files of all tenants. Every method, here and in `TenantFiles`, raises `CapstanError`: UNAVAILABLE when
    PostgreSQL is away, OVERLOADED when no connection comes free.
    """

    def __init__(self, tenancy: Tenancy, now: Callable[[], datetime]) -> None:
        self._tenancy = tenancy
        self._now = now

    def of(self, tenant: Tenant) -> TenantFiles:
        """Answer the files of one tenant. Raises `CapstanError` (INVALID_ARGUMENT) unless `tenant` names one."""
        files.check_tenant(tenant)
        return TenantFiles(self._tenancy, tenant, self._now())

    async def purge(self, most: int) -> int:
        """Remove the rows of up to `most` files that have expired, whosesoever; answer how many."""
        now = self._now()
        async with self._tenancy.entered("", EXPIRY) as borrowed:
            count: int = await borrowed.fetchval(sql.PURGE, now, most)
        return count


class TenantFiles:
    """The files of one tenant at one moment. Made by `Store.of`."""

    def __init__(self, tenancy: Tenancy, tenant: Tenant, now: datetime) -> None:
        self._tenancy = tenancy
        self._tenant = tenant
        self._now = now

    async def register(self, file: File) -> File:
        """Record `file`, or answer what is recorded already when it is the same.

        Raises:
            CapstanError: OBJECT_CONFLICT when the tenant has another file under this id.
        """
        for row in await self._rows(
            sql.REGISTER,
            file.file_id,
            file.filename,
            file.purpose.value,
            file.size_bytes,
            file.create_time,
            file.expire_time,
        ):
            return _file(row)
        recorded = await self._find(file.file_id)
        if recorded is None:
            raise unavailable("postgres", "the file under this id was removed at this moment")
        if not files.is_same(recorded, file):
            raise files.conflict(file.file_id)
        return recorded

    async def get(self, file_id: str) -> File:
        """Answer one file. Raises `CapstanError` (OBJECT_NOT_FOUND)."""
        file = await self._find(file_id)
        if file is None:
            raise files.not_found(file_id)
        return file

    async def page(self, *, purpose: Purpose | None, after: str, order: Order, size: int) -> Page:
        """Answer up to `size` files beyond the one with id `after` (empty: from the start), of `purpose` if given.

        Raises:
            CapstanError: OBJECT_NOT_FOUND when there is no file `after`.
        """
        last = await self.get(after) if after else None
        rows = await self._rows(
            sql.LIST[order],
            purpose.value if purpose else None,
            last.create_time if last else None,
            last.file_id if last else None,
            size + 1,
        )
        return Page([_file(row) for row in rows[:size]], has_more=len(rows) > size)

    async def delete(self, file_id: str) -> None:
        """Remove one file. Raises `CapstanError` (OBJECT_NOT_FOUND)."""
        if not files.could_exist(file_id) or not await self._rows(sql.DELETE, file_id):
            raise files.not_found(file_id)

    async def _find(self, file_id: str) -> File | None:
        rows = await self._rows(sql.GET, file_id) if files.could_exist(file_id) else []
        return _file(rows[0]) if rows else None

    async def _rows(self, statement: str, *arguments: object) -> list[Any]:
        """Run a statement for this tenant; the only way from here to the database."""
        tenant = self._tenant
        async with self._tenancy.entered(tenant.organization_id) as borrowed:
            return list(
                await borrowed.fetch(
                    sql.MINE + statement, tenant.organization_id, tenant.project_id, self._now, *arguments
                )
            )


def _file(row: Any) -> File:
    return File(
        row["file_id"],
        row["filename"],
        Purpose(row["purpose"]),
        row["size_bytes"],
        row["create_time"],
        row["expire_time"],
    )
