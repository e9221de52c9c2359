"""Of when and of whom: the query parameters that questions about usage and costs have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Query

from services.gateway import request_errors
from services.gateway.peers.admin.usage import Span, Which, Width

LATEST_S = 221_845_392_000
"""The year 9000: there are no instants after the year 9999, and a question's last bucket must end before."""

MOST_BUCKETS: Mapping[Width, int] = {"1m": 1440, "1h": 168, "1d": 31}
MOST_DAYS_OF_COSTS = 180

Names = list[str]
Start = Annotated[int, Query(ge=0, le=LATEST_S, description="Unix seconds, inclusive; read at the minute below.")]
End = Annotated[
    int | None, Query(ge=0, le=LATEST_S, description="Unix seconds, exclusive; read at the minute above. Default: now.")
]
Cursor = Annotated[str, Query(max_length=200, description="`next_page` of the page before.")]


def _names(what: str) -> object:
    return Query(max_length=100, description=what)


def _span(
    start_time: Start,
    end_time: End = None,
    bucket_width: Annotated[Width, Query(description="Buckets begin at multiples of it, UTC.")] = "1d",
    limit: Annotated[
        int | None,
        Query(
            ge=1, le=1440, description="Buckets on a page: 1d 7, at most 31; 1h 24, at most 168; 1m 60, at most 1440."
        ),
    ] = None,
    page: Cursor = "",
) -> Span:
    most = MOST_BUCKETS[bucket_width]
    if limit is not None and limit > most:
        raise request_errors.above_maximum("limit", most, limit, integer=True)
    return Span(start_time, end_time, bucket_width, limit, page)


def _days(
    start_time: Start,
    end_time: End = None,
    bucket_width: Annotated[str, Query(pattern="^1d$", description="Only 1d.")] = "1d",
    limit: Annotated[int, Query(ge=1, le=MOST_DAYS_OF_COSTS, description="Days on a page.")] = 7,
    page: Cursor = "",
) -> Span:
    return Span(start_time, end_time, "1d", limit, page)


def _which(
    project_ids: Annotated[Names, _names("Only of these projects.")] = [],  # noqa: B006 - never changed
    user_ids: Annotated[Names, _names("Only by keys of these users.")] = [],  # noqa: B006
    api_key_ids: Annotated[Names, _names("Only by these keys.")] = [],  # noqa: B006
    models: Annotated[Names, _names("Only of these models.")] = [],  # noqa: B006
) -> Which:
    return Which(project_ids, user_ids, api_key_ids, models)


def _which_costs(
    project_ids: Annotated[Names, _names("Only of these projects.")] = [],  # noqa: B006 - never changed
    api_key_ids: Annotated[Names, _names("Only by these keys.")] = [],  # noqa: B006
) -> Which:
    return Which(project_ids=project_ids, api_key_ids=api_key_ids)


Time = Annotated[Span, Depends(_span)]
"""`start_time`, `end_time`, `bucket_width`, `limit`, `page`."""
Days = Annotated[Span, Depends(_days)]
"""The same, in days."""
Whose = Annotated[Which, Depends(_which)]
"""`project_ids`, `user_ids`, `api_key_ids`, `models`."""
WhoseCosts = Annotated[Which, Depends(_which_costs)]
"""`project_ids`, `api_key_ids`."""
