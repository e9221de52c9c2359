"""The numbers of a rate limit, and which of them bind a key. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

Scope = Literal["key", "project", "organization"]
FailureMode = Literal["open", "local", "closed"]

EACH_MODEL = ""
"""In place of a model's name: each model on its own that has no numbers by its name."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one limit allows; None: not limited. The names are those of the tables' columns."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None
    concurrent_requests: int | None = None
    batch_day_max_input_tokens: int | None = None
    shadow: bool = False
    failure_mode: FailureMode = "local"
    burst_percent: int = 100
    count_rejected: bool = True

    def or_else(self, other: Numbers) -> Numbers:
        """Fill with those of `other` what is not limited here."""
        return replace(self, **{name: getattr(other, name) for name in AMOUNTS if getattr(self, name) is None})


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Numbers))
AMOUNTS: tuple[str, ...] = COLUMNS[:6]
"""Those that can be None."""

Table = Mapping[str, Numbers]
"""By model, or `EACH_MODEL`."""


def numbers(row: Mapping[str, Any]) -> Numbers:
    """Read a row of one of the tables; what a table has no column for is not limited."""
    return Numbers(**{name: row[name] for name in COLUMNS if name in row})


def chosen(table: Table, model: str) -> Numbers:
    """Answer the numbers for one model: those by its name, else those of each model."""
    return table.get(model) or table.get(EACH_MODEL) or Numbers()


def of_organization(tier: Numbers, own: Table) -> Table:
    """Answer what binds an organisation: its tier's numbers, and what it was given in their place."""
    return {EACH_MODEL: tier} | dict(own)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit that binds a principal."""

    scope: Scope
    model: str
    numbers: Numbers


def binding(tables: Iterable[tuple[Scope, Table]]) -> tuple[Limit, ...]:
    """List all limits of the tables, each table's in the order of its models."""
    return tuple(Limit(scope, model, table[model]) for scope, table in tables for model in sorted(table))
