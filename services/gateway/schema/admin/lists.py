"""Lists of objects, in the two forms that OpenAI's admin API has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, Protocol, TypeVar

from services.gateway.schema.answers import AnswerModel


class Identified(Protocol):
    """An object that a page can begin or end with."""

    @property
    def id(self) -> str: ...  # noqa: D102


T = TypeVar("T")


class Listing(AnswerModel, Generic[T]):
    """A page; the next one is asked for with `after` = `last_id`."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None = None
    """Null when the page is empty."""
    last_id: str | None = None
    """Null when the page is empty."""
    has_more: bool


class NextListing(AnswerModel, Generic[T]):
    """A page; the next one is asked for with `after` = `next`."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool
    next: str | None = None
    """Null when there is no more."""


I = TypeVar("I", bound=Identified)  # noqa: E741 - an object with an id


def listing(items: Sequence[I], *, has_more: bool) -> Listing[I]:
    """Make a page of objects with ids."""
    ends = (items[0].id, items[-1].id) if items else (None, None)
    return Listing(data=list(items), first_id=ends[0], last_id=ends[1], has_more=has_more)


def next_listing(items: Sequence[T], last_id: str, *, has_more: bool) -> NextListing[T]:
    """Make a page whose last object goes by `last_id`."""
    return NextListing(data=list(items), has_more=has_more, next=last_id if has_more else None)
