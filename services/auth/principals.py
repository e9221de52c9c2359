"""What a key's row means now: a principal, or why not.

The row is a fact that may be remembered; whether the key is good depends on the time and is judged anew each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from chassis.errors import CapstanError, Reason
from services.auth.tiers import TIERS

Policy = Literal["off", "advisory", "required"]
Scope = Literal["project", "organization"]


@dataclass(frozen=True, slots=True)
class ProjectLimit:
    """A limit that a project was given. `model` "" stands for each model on its own; None: not limited."""

    model: str
    requests_per_minute: int | None
    tokens_per_minute: int | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as the database has it, with what it inherits from its project and organisation."""

    id: str
    organization_id: str
    project_id: str
    owner_id: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    revoked_at: datetime | None
    archived_at: datetime | None
    """When its project was archived."""
    moderation_policy: Policy
    allowed_models: tuple[str, ...]
    """Empty: all."""
    tier: str
    limits: tuple[ProjectLimit, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit that binds a principal."""

    scope: Scope
    model: str
    requests_per_minute: int | None
    tokens_per_minute: int | None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling and what they may do."""

    row: KeyRow
    limits: tuple[Limit, ...]


def judge(row: KeyRow | None, now: datetime) -> Principal:
    """Say who stands behind a key.

    Raises:
        CapstanError: KEY_INVALID for unknown, revoked and expired keys, in the same words; PROJECT_ARCHIVED.
    """
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        raise CapstanError(Reason.KEY_INVALID, "the key is not valid")
    if row.archived_at is not None:
        raise CapstanError(Reason.PROJECT_ARCHIVED, "the key's project was archived")
    return Principal(row, limits_of(row))


def limits_of(row: KeyRow) -> tuple[Limit, ...]:
    """Collect what binds a key: the organisation's allowance by tier, then what its project was given."""
    allowance = TIERS.get(row.tier, TIERS["free"])  # a newer release may know more tiers
    return (
        Limit("organization", "", allowance.requests_per_minute, allowance.tokens_per_minute),
        *(Limit("project", limit.model, limit.requests_per_minute, limit.tokens_per_minute) for limit in row.limits),
    )
