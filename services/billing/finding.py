"""What became of one invariant of the books, and how findings are laid out for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_WORDS = {True: "ok", False: "FAIL", None: "?"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one invariant."""

    invariant: str
    holds: bool | None
    """None: nobody could look."""
    statement: str
    """What must be true."""
    seen: str
    """What was found."""


def table(findings: Sequence[Finding]) -> str:
    """Lay findings out for people."""
    width = max(len(finding.statement) for finding in findings)
    return "\n".join(
        f"{finding.invariant:4} {_WORDS[finding.holds]:4} {finding.statement:{width}}  {finding.seen}"
        for finding in sorted(findings, key=lambda finding: int(finding.invariant[1:]))
    )
