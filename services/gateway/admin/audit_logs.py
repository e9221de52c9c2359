"""`/v1/organization/audit_logs`: what was done, by whom, from where."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.gateway.actor import Wanted
from services.gateway.admin.office import Office
from services.gateway.admin.paging import After, Before, Limit20
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.audit import AuditLog, Sought
from services.gateway.schema.admin.audit import AuditEntry
from services.gateway.schema.admin.lists import Listing

LATEST_S = 253_402_300_799
"""The end of the year 9999, beyond which there are no instants."""


def _names(name: str, what: str) -> object:
    return Query(alias=name, max_length=100, description=what)


Bound = int | None
Names = list[str]


def _time(name: str, what: str) -> object:
    return Query(alias=f"effective_at[{name}]", ge=0, le=LATEST_S, description=f"Unix seconds; {what}.")


def _sought(
    gt: Annotated[Bound, _time("gt", "only later ones")] = None,
    gte: Annotated[Bound, _time("gte", "only these and later ones")] = None,
    lt: Annotated[Bound, _time("lt", "only earlier ones")] = None,
    lte: Annotated[Bound, _time("lte", "only these and earlier ones")] = None,
    project_ids: Annotated[Names, _names("project_ids", "Only in these projects.")] = [],  # noqa: B006 - never changed
    event_types: Annotated[Names, _names("event_types", "Only of these types.")] = [],  # noqa: B006
    actor_ids: Annotated[Names, _names("actor_ids", "Only by these users or keys.")] = [],  # noqa: B006
    actor_emails: Annotated[Names, _names("actor_emails", "Only by users with these addresses.")] = [],  # noqa: B006
    resource_ids: Annotated[Names, _names("resource_ids", "Only done to these objects.")] = [],  # noqa: B006
) -> Sought:
    return Sought(gt, gte, lt, lte, project_ids, event_types, actor_ids, actor_emails, resource_ids)


def _page(limit: Limit20 = 20, after: After = "", before: Before = "") -> Wanted:
    return Wanted(limit, after, before)


def router(office: Office) -> APIRouter:
    """Build the routes."""
    log = AuditLog(office.authority)
    made = APIRouter(prefix="/v1/organization/audit_logs", tags=["Audit log"], route_class=AdminRoute)

    @made.get("", operation_id="list-audit-logs", summary="List what was done, latest first")
    async def list_entries(
        actor: Acting,
        page: Annotated[Wanted, Depends(_page)],
        sought: Annotated[Sought, Depends(_sought)],
        tenant_only: Annotated[bool, Query(description="Only what concerns several organizations: nothing.")] = False,
    ) -> Listing[AuditEntry]:
        if tenant_only:
            return Listing(data=[], has_more=False)
        return await log.list(actor, page, sought)

    return made
