"""`/v1/organization/usage/…` and `/v1/organization/costs`: what was used and what it cost, over time.

Times are taken at the minute. Auth judges whether the key may look into its organisation, by being asked for a list.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from chassis.errors import CapstanError, Reason
from services.gateway.actor import Actor, Wanted
from services.gateway.admin.office import Office
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.peers.admin.projects import Projects
from services.gateway.peers.admin.reports import Asked
from services.gateway.schema.admin.usage import (
    CompletionsGroup,
    CompletionsResult,
    CostGroup,
    CostsResult,
    EmbeddingsResult,
    ModerationsResult,
    UsageGroup,
    UsagePage,
    Width,
)

Groups = Annotated[tuple[UsageGroup, ...], Query()]

MOST = {"1m": 1440, "1h": 168, "1d": 31}
"""Buckets on a page."""

LATEST = 253_402_300_799
"""The end of the year 9999, unix seconds."""

Start = Annotated[int, Query(ge=0, le=LATEST, description="Unix seconds, inclusive.")]
End = Annotated[int | None, Query(ge=0, le=LATEST, description="Unix seconds, exclusive. Default: now.")]
Wide = Annotated[Width, Query(description="Width of a bucket.")]
Buckets = Annotated[
    int, Query(ge=0, le=1440, description="Buckets on a page: at most 1440 of 1m, 168 of 1h, 31 of 1d.")
]
Days = Annotated[int, Query(ge=1, le=180, description="Days on a page.")]
Token = Annotated[str, Query(max_length=200, description="`next_page` of the page before.")]
Ids = Annotated[tuple[str, ...], Query(max_length=100)]


def _asked(
    start_time: Start,
    end_time: End = None,
    limit: Buckets = 0,
    page: Token = "",
    project_ids: Ids = (),
    user_ids: Ids = (),
    api_key_ids: Ids = (),
    models: Ids = (),
) -> Asked:
    return Asked(start_time, end_time, limit, page, project_ids, user_ids, api_key_ids, models)


Question = Annotated[Asked, Depends(_asked)]


def router(office: Office) -> APIRouter:
    """Build the routes."""
    made = APIRouter(prefix="/v1/organization", tags=["Usage"], route_class=AdminRoute)
    reports = office.reports

    async def judged(actor: Actor, asked: Asked, width: Width) -> None:
        if asked.limit > MOST[width]:
            words = f"Invalid 'limit': at most {MOST[width]} buckets of {width}."
            raise CapstanError(Reason.PARAMETER_REFUSED, param="limit", message=words)
        await Projects(office.authority).list(actor, Wanted(1), include_archived=False)

    @made.get("/usage/completions", operation_id="usage-completions", summary="Sum what generated text")
    async def completions(
        actor: Acting,
        asked: Question,
        bucket_width: Wide = "1d",
        batch: bool | None = None,
        group_by: Annotated[tuple[CompletionsGroup, ...], Query()] = (),
    ) -> UsagePage[CompletionsResult]:
        await judged(actor, asked, bucket_width)
        question = replace(asked, batch=batch, group_by=group_by)
        return await reports.completions(actor.organization_id, bucket_width, question)

    @made.get("/usage/embeddings", operation_id="usage-embeddings", summary="Sum what made vectors")
    async def embeddings(
        actor: Acting, asked: Question, bucket_width: Wide = "1d", group_by: Groups = ()
    ) -> UsagePage[EmbeddingsResult]:
        await judged(actor, asked, bucket_width)
        return await reports.embeddings(actor.organization_id, bucket_width, replace(asked, group_by=group_by))

    @made.get("/usage/moderations", operation_id="usage-moderations", summary="Sum what was judged")
    async def moderations(
        actor: Acting, asked: Question, bucket_width: Wide = "1d", group_by: Groups = ()
    ) -> UsagePage[ModerationsResult]:
        await judged(actor, asked, bucket_width)
        return await reports.moderations(actor.organization_id, bucket_width, replace(asked, group_by=group_by))

    @made.get("/costs", operation_id="usage-costs", summary="Sum what it cost")
    async def costs(
        actor: Acting,
        start_time: Start,
        end_time: End = None,
        bucket_width: Annotated[Literal["1d"], Query(description="Width of a bucket.")] = "1d",
        limit: Days = 7,
        page: Token = "",
        project_ids: Ids = (),
        api_key_ids: Ids = (),
        group_by: Annotated[tuple[CostGroup, ...], Query()] = (),
    ) -> UsagePage[CostsResult]:
        asked = Asked(start_time, end_time, limit, page, project_ids, api_key_ids=api_key_ids, group_by=group_by)
        await judged(actor, replace(asked, limit=0), bucket_width)
        return await reports.costs(actor.organization_id, asked)

    return made
