"""What a method of the administration works with: one transaction, on the rows of one organisation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from chassis.clock import Clock, utc
from chassis.errors import CapstanError, Reason
from chassis.ids import Ids
from chassis.postgres import Connection
from services.auth.audit import By, record
from services.auth.authority import Rights
from services.auth.minting import Mint
from services.auth.permissions import Grants, expanded
from services.auth.store import not_found
from services.auth.tenancy import enter

GRANTS = """
SELECT project_id, array_agg(DISTINCT word) AS words FROM auth.grants
WHERE organization_id = $1 AND user_id = $2 GROUP BY project_id
"""
"""What a user was granted: rows for `rights`."""
_PROJECT = "SELECT * FROM auth.projects WHERE organization_id = $1 AND project_id = $2"
_ACTIVE_PROJECT = f"{_PROJECT} FOR SHARE"
_ORGANIZATION = "SELECT * FROM auth.organizations WHERE organization_id = $1"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever calls: an admin key and its owner."""

    by: By
    user_id: str
    scopes: tuple[str, ...]
    """Of the key; its rights are narrowed to them already."""
    rights: Rights


@dataclass(slots=True)
class Call:
    """One call of one method. Every statement gets the organisation as $1."""

    connection: Connection
    organization_id: str
    actor: Actor
    ids: Ids
    clock: Clock
    mint: Mint
    changed: bool = False
    """Whether anything was written down, as every change is."""

    @property
    def now(self) -> datetime:
        """The time by the service's clock, as that is what keys and invites end by."""
        return utc(self.clock)

    async def rows(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Answer rows."""
        return await self.connection.fetch(statement, self.organization_id, *arguments)

    async def row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """Answer one row, or None."""
        return await self.connection.fetchrow(statement, self.organization_id, *arguments)

    async def value(self, statement: str, *arguments: object) -> Any:
        """Answer the one value of one row, or None."""
        return await self.connection.fetchval(statement, self.organization_id, *arguments)

    async def run(self, statement: str, *arguments: object) -> int:
        """Answer how many rows a statement changed."""
        status: str = await self.connection.execute(statement, self.organization_id, *arguments)
        return int(status.rpartition(" ")[2])

    async def log(
        self, action: str, object_id: str, *also: str, project_id: str | None = None, **details: object
    ) -> None:
        """Write down what was done, in the words of OpenAI's audit log."""
        self.changed = True
        await record(
            self.connection,
            self.ids,
            self.actor.by,
            self.organization_id,
            action,
            [object_id, *also],
            project_id=project_id,
            details={"id": object_id} | details,
        )

    async def project(self, project_id: str, *, active: bool = False) -> asyncpg.Record:
        """Answer a project; one that is to be `active` cannot be archived before the end of the call.

        Raises:
            CapstanError: OBJECT_NOT_FOUND; OBJECT_CONFLICT when it is archived and `active` is asked for.
        """
        found = await self.row(_ACTIVE_PROJECT if active else _PROJECT, project_id)
        if found is None:
            raise not_found("project", project_id)
        if active and found["archived_at"] is not None:
            raise conflict("project", project_id, "the project is archived")
        return found

    async def user(self, user_id: str) -> asyncpg.Record:
        """Answer a person. Raises OBJECT_NOT_FOUND, also for service accounts and those who were taken out."""
        found = await self.row(
            "SELECT * FROM auth.users WHERE organization_id = $1 AND user_id = $2 AND role <> 'service_account'"
            " AND deleted_at IS NULL FOR SHARE",
            user_id,
        )
        if found is None:
            raise not_found("user", user_id)
        return found

    async def rights_of(self, user_id: str) -> Rights:
        """Answer what a user or a service account may do, disabled or not."""
        return rights(await self.rows(GRANTS, user_id))

    def insist(self, grants: Grants, project_id: str = "") -> None:
        """Raise PERMISSION_DENIED unless whoever calls has all of `grants`, in the project or the organisation."""
        held = self.actor.rights.within(project_id) if project_id else self.actor.rights.organization
        if not held.include(grants):
            raise denied("more than the calling key has itself")

    def insist_all(self, rights: Rights) -> None:
        """Raise PERMISSION_DENIED unless whoever calls may do all that somebody else may."""
        if not self.actor.rights.include(rights):
            raise denied("more than the calling key has itself")

    async def move_to(self, organization_id: str) -> asyncpg.Record:
        """Go on in another organisation, as only operators may, and answer it. Raises OBJECT_NOT_FOUND."""
        if organization_id and organization_id != self.organization_id:
            await enter(self.connection, organization_id)
            self.organization_id = organization_id
        found = await self.row(_ORGANIZATION)
        if found is None:
            raise not_found("organization", organization_id)
        return found


def rights(rows: list[asyncpg.Record], *, operator: bool = False) -> Rights:
    """Add up what rows of `auth.grants` permit, by project."""
    grants = {row["project_id"]: expanded(tuple(row["words"])) for row in rows}
    organization = grants.pop(None, Grants())
    return Rights(organization, grants, operator)


def conflict(kind: str, name: str, message: str) -> CapstanError:
    """Build the error for what cannot be, because of what is."""
    return CapstanError(Reason.OBJECT_CONFLICT, message, object=kind, id=name)


def denied(scope: str) -> CapstanError:
    """Build the error for what the calling key may not do; `scope` is what it lacks."""
    return CapstanError(Reason.PERMISSION_DENIED, f"the key lacks: {scope}", scope=scope)
