"""Questions about usage and costs, answered from the roll-ups."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chassis.tenancy import Tenancy
from services.billing.buckets import Page
from services.billing.events import DEFAULT_TIER, Endpoint


class Dimension(enum.StrEnum):
    """By what usage and costs can be told apart; the value is the column."""

    PROJECT = "project_id"
    OWNER = "owner_id"
    KEY = "key_id"
    MODEL = "model"
    BATCH = "batch"
    SERVICE_TIER = "service_tier"
    LINE_ITEM = "line_item"


LINE_ITEM = f"""model || ', ' || replace(endpoint, '_', ' ')
    || case when batch then ', batch' else '' end
    || case when service_tier <> '{DEFAULT_TIER}' then ', ' || service_tier else '' end"""
"""What was sold, in words."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What to sum; an empty one lets all through."""

    endpoints: Sequence[Endpoint] = ()
    project_ids: Sequence[str] = ()
    owner_ids: Sequence[str] = ()
    key_ids: Sequence[str] = ()
    models: Sequence[str] = ()
    batch: bool | None = None


@dataclass(slots=True)
class Sum:
    """What a group adds up to within a bucket."""

    request_count: int
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    amount_nanousd: int
    group: dict[Dimension, Any] = field(default_factory=dict)
    """The group's values, by the dimensions that were asked for."""


class ReportStore:
    """Reads the roll-ups. Every method raises `CapstanError` (UNAVAILABLE, OVERLOADED)."""

    def __init__(self, tenancy: Tenancy) -> None:
        self._tenancy = tenancy

    async def sums(
        self, organization_id: str, page: Page, filters: Filters, group_by: Iterable[Dimension]
    ) -> dict[datetime, list[Sum]]:
        """Answer the sums of each bucket that has any, by the bucket's start and then by the groups' values."""
        groups = sorted(set(group_by))
        async with self._tenancy.entered(organization_id) as borrowed:
            rows = await borrowed.fetch(_statement(groups), *_arguments(organization_id, page, filters))
        found: dict[datetime, list[Sum]] = {}
        for row in rows:
            group = {dimension: row[dimension.value] for dimension in groups}
            fields: list[Any] = [*tuple(row)[1:7], group]
            found.setdefault(page.bucket_of(row["bucket"]), []).append(Sum(*fields))
        return found


def _arguments(organization_id: str, page: Page, filters: Filters) -> list[object]:
    return [
        organization_id,
        page.start,
        page.end,
        page.width,
        *(
            list(values) or None
            for values in (
                [endpoint.value for endpoint in filters.endpoints],
                filters.project_ids,
                filters.owner_ids,
                filters.key_ids,
                filters.models,
            )
        ),
        filters.batch,
        *page.whole_days,
    ]


def _statement(groups: Sequence[Dimension]) -> str:
    columns = [f"{LINE_ITEM if group is Dimension.LINE_ITEM else group.value} as {group.value}" for group in groups]
    keys = ", ".join(["1", *(str(7 + place) for place in range(1, len(groups) + 1))])
    # Only our own constants are put into the text; what was asked are arguments.
    return f"""
select date_bin($4, bucket_time, 'epoch'::timestamptz) as bucket, sum(request_count)::bigint,
    sum(prompt_tokens)::bigint, sum(cached_prompt_tokens)::bigint, sum(completion_tokens)::bigint,
    sum(reasoning_tokens)::bigint, sum(amount_nanousd)::bigint{"".join(", " + column for column in columns)}
from (
    select * from billing.usage_days where organization_id = $1 and bucket_time >= $11 and bucket_time < $12
    union all
    select * from billing.usage_minutes where organization_id = $1 and bucket_time >= $2 and bucket_time < $11
    union all
    select * from billing.usage_minutes where organization_id = $1 and bucket_time >= $12 and bucket_time < $3
) as used
where ($5::text[] is null or endpoint = any($5)) and ($6::text[] is null or project_id = any($6))
    and ($7::text[] is null or owner_id = any($7)) and ($8::text[] is null or key_id = any($8))
    and ($9::text[] is null or model = any($9)) and ($10::boolean is null or batch = $10)
group by {keys} order by {keys}
"""  # noqa: S608
