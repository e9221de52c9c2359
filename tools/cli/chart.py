"""Bars for a terminal: pure. Blocks where it has them, `#` where not, and only the numbers where it is narrow."""

from __future__ import annotations

from collections.abc import Sequence

EIGHTHS = "▏▎▍▌▋▊▉█"
"""One to eight eighths of a column."""
NARROWEST_BAR = 4
"""Columns; with fewer a bar says nothing."""
LONGEST_BAR = 60

Line = tuple[str, int, str]
"""What the bar is of, how long it is to be, and what is written behind it."""


def chart(lines: Sequence[Line], width: int, *, blocks: bool) -> list[str]:
    """Draw one bar per line in `width` columns, the largest as long as there is room; whatever is not 0 is seen."""
    left = max((len(label) for label, _, _ in lines), default=0)
    right = max((len(text) for _, _, text in lines), default=0)
    room = min(LONGEST_BAR, width - left - right - 4)
    most = max((value for _, value, _ in lines), default=0)
    drawn = []
    for label, value, text in lines:
        cells = [label.ljust(left), text.rjust(right)]
        if room >= NARROWEST_BAR:
            cells.append(bar(value, most, room, blocks=blocks))
        drawn.append("  ".join(cells).rstrip())
    return drawn


def bar(value: int, most: int, columns: int, *, blocks: bool) -> str:
    """Draw `value` of `most` in at most `columns`."""
    if value <= 0 or most <= 0:
        return ""
    steps = len(EIGHTHS) if blocks else 1
    length = max(1, value * columns * steps // most)
    whole, rest = divmod(length, steps)
    return (EIGHTHS[-1] if blocks else "#") * whole + (EIGHTHS[rest - 1] if rest else "")


def has_blocks(encoding: str | None) -> bool:
    """Say whether text in `encoding` can hold the blocks."""
    try:
        EIGHTHS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
