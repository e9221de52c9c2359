"""The `x-ratelimit-*` headers, and durations as they are written there: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Dimension = Literal["requests", "tokens"]

_DIMENSIONS: tuple[Dimension, ...] = ("requests", "tokens")


@dataclass(frozen=True, slots=True)
class Meter:
    """How one limit stands after a request was charged to it."""

    dimension: Dimension
    """What it counts."""
    limit: int
    """Units in a window, 0 or greater."""
    remaining: int
    """Units that fit now, 0 or greater."""
    reset_ms: int
    """Milliseconds until the meter is empty again, 0 or greater."""


def duration(ms: int) -> str:
    """Write milliseconds as Go's `time.Duration.String` does: "0s", "120ms", "8.64s", "1m6.779s", "1h0m0s".

    OpenAI's headers and messages have this form (recorded traffic). A negative span is written as "0s".
    """
    if ms <= 0:
        return "0s"
    if ms < 1000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    seconds, fraction = divmod(ms, 1000)
    text = f"{seconds}.{fraction:03d}".rstrip("0") + "s" if fraction else f"{seconds}s"
    if not minutes:
        return text
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"


def headers(meters: Sequence[Meter]) -> list[tuple[bytes, bytes]]:
    """Make the headers of an answer: three for each dimension that is limited at all.

    Of several limits of one dimension (key, project, organization) the binding one is told: that with the smallest
    share left, and among equals the one that takes longest to recover.
    """
    made: list[tuple[bytes, bytes]] = []
    for dimension in _DIMENSIONS:
        binding: Meter | None = None
        for meter in meters:
            if meter.dimension == dimension and (binding is None or _scarcer(meter, binding)):
                binding = meter
        if binding is not None:
            name = dimension.encode()
            made.append((b"x-ratelimit-limit-" + name, b"%d" % binding.limit))
            made.append((b"x-ratelimit-remaining-" + name, b"%d" % max(0, binding.remaining)))
            made.append((b"x-ratelimit-reset-" + name, duration(binding.reset_ms).encode()))
    return made


def _scarcer(meter: Meter, other: Meter) -> bool:
    """Compare remaining shares by cross multiplication: exact, and a limit of 0 needs no case of its own."""
    if meter.limit == 0 or other.limit == 0:
        return meter.limit == 0 and (other.limit != 0 or meter.reset_ms > other.reset_ms)
    mine, theirs = max(0, meter.remaining) * other.limit, max(0, other.remaining) * meter.limit
    return mine < theirs or (mine == theirs and meter.reset_ms > other.reset_ms)
