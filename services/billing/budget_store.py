"""Limits, credit and alerts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from chassis.errors import CapstanError, Reason
from chassis.tenancy import OWN, Tenancy
from services.billing import budget_sql as sql
from services.billing.budgets import (
    CREDIT_PERIOD,
    DEFAULT_EXPOSURE_NANOUSD,
    Alert,
    Limit,
    Standing,
    period_of,
)
from services.billing.reaches import BUDGETS

MOST_ALERTS = 100
"""Of one owner."""


class BudgetStore:
    """Every method raises `CapstanError` (UNAVAILABLE, OVERLOADED)."""

    def __init__(self, tenancy: Tenancy, now: Callable[[], datetime]) -> None:
        self._tenancy = tenancy
        self._now = now

    @property
    def period(self) -> str:
        """The month it is."""
        return period_of(self._now())

    async def standings(self, subjects: Sequence[tuple[str, str]]) -> list[Standing]:
        """Answer, for each organisation and project, what is known of both; in order."""
        organizations, projects = [list(column) for column in zip(*subjects, strict=True)]
        only = organizations[0] if len(set(organizations)) == 1 else ""
        async with self._tenancy.entered(only, OWN if only else BUDGETS) as borrowed:
            rows = await borrowed.fetch(sql.STANDINGS, organizations, projects, self.period)
        return [
            Standing(
                row["organization_id"],
                row["project_id"],
                Limit(row["whole_hard"], row["whole_soft"]),
                Limit(row["part_hard"], row["part_soft"]),
                row["whole_posted"],
                row["part_posted"],
                row["prepaid"],
                row["granted"],
                row["used"],
                row["forgiven"],
                DEFAULT_EXPOSURE_NANOUSD if row["max_exposure_nanousd"] is None else row["max_exposure_nanousd"],
                tuple(zip(row["recovered_ids"], row["recovered_tokens"], strict=True)),
            )
            for row in rows
        ]

    async def posted(self, subject_id: str, period_id: str) -> int:
        """Answer what an organisation's or project's budget has seen."""
        async with self._tenancy.entered("", BUDGETS) as borrowed:
            if period_id == CREDIT_PERIOD:
                used: int = await borrowed.fetchval(sql.USED, subject_id)
                return used
            amount: int = await borrowed.fetchval(sql.POSTED, subject_id, period_id)
            return amount

    async def set_limit(self, organization_id: str, project_id: str, limit: Limit) -> None:
        """Replace a limit, or remove it."""
        async with self._tenancy.entered(organization_id) as borrowed:
            if limit.is_none:
                await borrowed.execute(sql.REMOVE_LIMIT, organization_id, project_id)
            else:
                await borrowed.execute(
                    sql.SET_LIMIT, organization_id, project_id, limit.hard_nanousd, limit.soft_nanousd, self._now()
                )

    async def set_terms(self, organization_id: str, *, prepaid: bool, max_exposure_nanousd: int | None) -> None:
        """Say how an organisation pays."""
        exposure = DEFAULT_EXPOSURE_NANOUSD if max_exposure_nanousd is None else max_exposure_nanousd
        async with self._tenancy.entered(organization_id) as borrowed:
            await borrowed.execute(sql.SET_TERMS, organization_id, prepaid, exposure, self._now())

    async def grant(self, grant_id: str, organization_id: str, amount_nanousd: int, note: str) -> bool:
        """Enter a payment in advance, with its legs; answer whether it is new. Raises OBJECT_CONFLICT as well."""
        async with self._tenancy.entered(organization_id) as borrowed:
            if await borrowed.fetchval(sql.GRANT, grant_id, organization_id, amount_nanousd, note, self._now()):
                return True
            known = await borrowed.fetchrow(sql.GRANTED, grant_id)
        if known is None or tuple(known) != (organization_id, amount_nanousd):
            raise CapstanError(Reason.OBJECT_CONFLICT, "another grant has this id", object="grant", id=grant_id)
        return False

    async def create_alert(self, alert: Alert) -> None:
        """Add an alert. Raises INVALID_ARGUMENT when its owner has too many."""
        async with self._tenancy.entered(alert.organization_id) as borrowed:
            made = await borrowed.fetchval(
                sql.CREATE_ALERT,
                alert.alert_id,
                alert.organization_id,
                alert.project_id,
                alert.threshold_nanousd,
                list(alert.recipients),
                alert.subject_prefix,
                alert.create_time,
                MOST_ALERTS,
            )
        if made is None:
            raise CapstanError(Reason.INVALID_ARGUMENT, f"at most {MOST_ALERTS} alerts", param="alert")

    async def alerts(self, organization_id: str, project_id: str) -> list[Alert]:
        """Answer an owner's alerts, oldest first."""
        async with self._tenancy.entered(organization_id) as borrowed:
            rows = await borrowed.fetch(sql.ALERTS, organization_id, project_id)
        return [_alert(row) for row in rows]

    async def update_alert(self, alert: Alert) -> Alert:
        """Replace an alert, which may fire again this month. Raises OBJECT_NOT_FOUND as well."""
        owner = (alert.organization_id, alert.project_id)
        async with self._tenancy.entered(alert.organization_id) as borrowed:
            row = await borrowed.fetchrow(
                sql.UPDATE_ALERT,
                alert.alert_id,
                *owner,
                alert.threshold_nanousd,
                list(alert.recipients),
                alert.subject_prefix,
                self._now(),
            )
            if row is None:
                raise _no_alert(alert.alert_id)
            await borrowed.execute(sql.FORGET_FIRING, *owner, alert.alert_id, self.period)
        return _alert(row)

    async def delete_alert(self, organization_id: str, project_id: str, alert_id: str) -> None:
        """Take an alert away. Raises OBJECT_NOT_FOUND as well."""
        async with self._tenancy.entered(organization_id) as borrowed:
            if await borrowed.fetchval(sql.DELETE_ALERT, alert_id, organization_id, project_id) is None:
                raise _no_alert(alert_id)


def _no_alert(alert_id: str) -> CapstanError:
    return CapstanError(Reason.OBJECT_NOT_FOUND, "no such alert", object="spend alert", id=alert_id)


def _alert(row: asyncpg.Record) -> Alert:
    fields: list[Any] = list(row)
    fields[4] = tuple(fields[4])
    return Alert(*fields)
