"""Gateways' journals, checked: nothing stays begun, and nothing that ended waits, for longer than it may."""

from __future__ import annotations

from collections.abc import Sequence

from services.billing.evidence import Journal
from services.billing.finding import Finding

LONGEST_S = 900.0
"""Until each request that was begun has an event or was taken back."""


def journals_move(journals: Sequence[Journal] | None) -> Finding:
    """Check how journals stood."""
    statement = "each request that a gateway began has an event, or was taken back, within 15 minutes"
    if journals is None:
        nothing = "not looked at: no file of journals (--journals, from `python -m services.gateway journal`)"
        return Finding("I6", None, statement, nothing)
    open_count = sum(journal.open_count for journal in journals)
    oldest = max((journal.oldest_open_s for journal in journals), default=0.0)
    waiting = max((journal.oldest_unshipped_s for journal in journals), default=0.0)
    return Finding(
        "I6",
        max(oldest, waiting) <= LONGEST_S,
        statement,
        f"{len(journals)} journals, {open_count} requests open, the oldest for {oldest:.0f} s; the oldest that billing "
        f"has not taken waits for {waiting:.0f} s",
    )
