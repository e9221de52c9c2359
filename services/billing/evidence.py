"""What others know and PostgreSQL does not, as files of lines of JSON: meters, journals, what clients were told.

Each is written where it is known, so that checking the books needs no way to whoever knows:

    meters     python -m services.ratelimit audit --json    in ratelimit
    journals   python -m services.gateway journal           in each gateway
    told       whoever drives the API and keeps the answers' `usage`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Read = TypeVar("Read")
STDIN = "-"


class EvidenceError(Exception):
    """A file cannot be read; the text says which and where."""


@dataclass(frozen=True, slots=True)
class Meter:
    """How ratelimit's meter of a budget stood. Nano-dollars."""

    organization_id: str
    subject_id: str
    period_id: str
    posted_nanousd: int | None
    """None: the meter was never told."""
    held_nanousd: int
    holds_nanousd: int
    """Sum over the single holds."""
    first_end_ms: int
    """When the first hold ends, unix milliseconds; 0: there is none."""
    time_ms: int
    """When it was looked at."""


@dataclass(frozen=True, slots=True)
class Journal:
    """How a gateway's journal stood."""

    gateway: str
    open_count: int
    """Requests that were begun and neither ended nor taken back."""
    oldest_open_s: float
    """How long the oldest of them runs; 0: there is none."""
    oldest_unshipped_s: float
    """For how long the oldest ended one has waited for billing; 0: there is none."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told that its completed request used."""

    request_id: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None
    """None: it was not told."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to look at beside the database; None: nothing."""

    meters: tuple[Meter, ...] | None = None
    journals: tuple[Journal, ...] | None = None
    told: tuple[Told, ...] | None = None


def evidence(meters: str | None, journals: str | None, told: str | None) -> Evidence:
    """Read the files that are there. Raises `EvidenceError`.

    "-" is the standard input; where it stands for several, their lines may come in any order.
    """
    given = sys.stdin.read().splitlines() if STDIN in (meters, journals, told) else []
    return Evidence(
        _read(meters, given, "period_id", _meter),
        _read(journals, given, "gateway", _journal),
        _read(told, given, "request_id", _told),
    )


def _read(
    path: str | None, given: Sequence[str], own: str, read: Callable[[dict[str, Any]], Read]
) -> tuple[Read, ...] | None:
    """Read a file's lines, or those of the standard input that have a field of their `own`."""
    if path is None:
        return None
    try:
        if path == STDIN:
            return tuple(_parsed(path, [line for line in given if f'"{own}":' in line], read))
        with Path(path).open(encoding="utf-8") as lines:
            return tuple(_parsed(path, lines, read))
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceError(f"{path} cannot be read: {error}") from None


def _parsed(path: str, lines: Iterable[str], read: Callable[[dict[str, Any]], Read]) -> Iterator[Read]:
    for number, line in enumerate(lines, 1):
        try:
            yield read(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EvidenceError(f"line {number} of {path} makes no sense: {type(error).__name__}: {error}") from None


def _meter(line: dict[str, Any]) -> Meter:
    posted = line["posted_nanousd"]
    return Meter(
        str(line["organization_id"]),
        str(line["subject_id"]),
        str(line["period_id"]),
        None if posted is None else int(posted),
        int(line["held_nanousd"]),
        int(line["holds_nanousd"]),
        int(line["first_end_ms"]),
        int(line["time_ms"]),
    )


def _journal(line: dict[str, Any]) -> Journal:
    return Journal(
        str(line["gateway"]),
        int(line["open_count"]),
        float(line["oldest_open_s"]),
        float(line["oldest_unshipped_s"]),
    )


def _told(line: dict[str, Any]) -> Told:
    cached = line.get("cached_tokens")
    return Told(
        str(line["request_id"]),
        int(line["prompt_tokens"]),
        int(line["completion_tokens"]),
        None if cached is None else int(cached),
    )
