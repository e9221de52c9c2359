"""Answers of the admin API for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]
Row = Sequence[str]


def show(objects: Sequence[Json], headings: Row, rows: Iterable[Row], *, as_json: bool, none: str) -> None:
    """Print objects as a table, as JSON, or say that there is `none`."""
    if as_json:
        print_json({"data": list(objects)})
    elif not objects:
        print(none, file=sys.stderr)
    else:
        print("\n".join(table(headings, rows)))


def details(value: Json, lines: Iterable[tuple[str, str]], *, as_json: bool) -> None:
    """Print one object as lines of a name and a value, or as JSON."""
    if as_json:
        print_json(value)
        return
    pairs = list(lines)
    width = max(len(name) for name, _ in pairs)
    for name, text in pairs:
        print(f"{name:<{width}}  {text}".rstrip())


def print_json(value: Json) -> None:
    """Print JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(headings: Row, rows: Iterable[Row]) -> list[str]:
    """Write columns under headings, as wide as what they hold."""
    cells = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def when(unix_s: int | None, never: str = "never") -> str:
    """Write an instant in the user's own time."""
    return never if unix_s is None else datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M")


def listed(words: Sequence[str], none: str) -> str:
    """Write several words in one cell."""
    return ", ".join(words) or none
