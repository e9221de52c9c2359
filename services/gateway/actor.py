"""Who administers, and which page of a list they want: plain values, so that routes need no message of auth's."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.kept import Order


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of an admin request. What they may do is judged where the object is."""

    organization_id: str
    key_id: str
    ip_address: str
    """Empty when nobody can tell."""
    request_id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Part of a list."""

    limit: int
    after: str = ""
    """Id of the object before the page's first; empty: from the beginning."""
    before: str = ""
    """Id of the object after the page's last; empty: no matter."""
    order: Order | None = None
    """None: as the list is ordered by itself."""
