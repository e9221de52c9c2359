"""A small chart for a terminal: a bar for each stretch of time, in eighths of a character. Pure."""

from __future__ import annotations

from collections.abc import Sequence

EIGHTHS = " ▏▎▍▌▋▊▉"
FULL = "█"


def bars(values: Sequence[float], width: int) -> list[str]:
    """Draw each value (0 or greater) as long as it is, the greatest `width` characters; what is not 0 is seen."""
    most = max(values, default=0)
    return [_bar(value / most * width if most else 0.0, seen=value > 0) for value in values]


def _bar(length: float, *, seen: bool) -> str:
    eighths = max(round(length * 8), int(seen))
    return FULL * (eighths // 8) + EIGHTHS[eighths % 8].strip()
