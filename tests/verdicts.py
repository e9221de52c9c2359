"""What `verify` printed of the books, a line or more for each invariant, for tests to judge."""

from __future__ import annotations

SOUND = {f"I{number}": "ok" for number in range(1, 13)}


def verdicts(printed: str) -> dict[str, str]:
    """The worst verdict on each invariant."""
    worst: dict[str, str] = {}
    for line in printed.splitlines():
        invariant, verdict = line.split()[:2]
        if worst.get(invariant, "ok") == "ok":
            worst[invariant] = verdict
    return worst
