"""Which page of a list: the query parameters that lists have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Query

from services.gateway.actor import Wanted

Limit20 = Annotated[int, Query(ge=1, le=100, description="Objects on a page.")]
Limit100 = Annotated[int, Query(ge=1, le=100, description="Objects on a page.")]
Limit1000 = Annotated[int, Query(ge=1, le=1000, description="Objects on a page.")]
After = Annotated[str, Query(max_length=200, description="Id of the last object of the page before.")]
Before = Annotated[str, Query(max_length=200, description="Id of the first object of the page after.")]
Ordered = Annotated[Literal["asc", "desc"], Query(description="By time of creation.")]


def _page(limit: Limit20 = 20, after: After = "") -> Wanted:
    return Wanted(limit, after)


def _ordered(limit: Limit20 = 20, after: After = "", order: Ordered = "asc") -> Wanted:
    return Wanted(limit, after, order=order)


def _long(limit: Limit1000 = 100, after: After = "", order: Ordered = "asc") -> Wanted:
    return Wanted(limit, after, order=order)


def _both_ways(limit: Limit100 = 100, after: After = "", before: Before = "") -> Wanted:
    return Wanted(limit, after, before)


def _ordered_both_ways(limit: Limit20 = 20, after: After = "", before: Before = "", order: Ordered = "asc") -> Wanted:
    return Wanted(limit, after, before, order)


Page = Annotated[Wanted, Depends(_page)]
"""`limit` (20), `after`."""
OrderedPage = Annotated[Wanted, Depends(_ordered)]
"""`limit` (20), `after`, `order`."""
LongPage = Annotated[Wanted, Depends(_long)]
"""`limit` (100, at most 1,000), `after`, `order`: groups and roles."""
PageBothWays = Annotated[Wanted, Depends(_both_ways)]
"""`limit` (100), `after`, `before`."""
OrderedPageBothWays = Annotated[Wanted, Depends(_ordered_both_ways)]
"""`limit` (20), `after`, `before`, `order`."""
