"""What a key's row means now: a principal, or why not.

The row is a fact that may be remembered; whether the key is good depends on the time and is judged anew each time. What
a key may do is never more than what its owner may do: the row has both, and a change of either is told to whoever
remembers it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from chassis.errors import CapstanError, Reason
from services.auth.limits import Limit, Table, binding, of_organization
from services.auth.permissions import NOTHING, Grants
from services.auth.tiers import tier

Policy = Literal["off", "advisory", "required"]
Kind = Literal["user", "service_account", "admin"]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as the database has it, with what it inherits from its owner, its project and its organisation."""

    id: str
    organization_id: str
    project_id: str
    """Empty for an admin key."""
    owner_id: str
    scopes: tuple[str, ...]
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    archived_at: datetime | None = None
    """When its project was archived."""
    kind: Kind = "user"
    operator: bool = False
    allowed_ips: tuple[str, ...] = ()
    """Empty: from everywhere."""
    allowed_models: tuple[str, ...] = ()
    """Empty: all that its project may use."""
    owner_role: str = ""
    """In the project, or in the organisation for an admin key; empty: none."""
    owner_active: bool = True
    owner_grants: Grants = NOTHING
    """What its owner may do in the project."""
    moderation_policy: Policy = "off"
    project_models: tuple[str, ...] = ()
    """Empty: all but `denied_models`."""
    denied_models: tuple[str, ...] = ()
    tier: str = "free"
    organization_limits: Table = field(default_factory=dict)
    project_limits: Table = field(default_factory=dict)
    key_limits: Table = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling and what they may do."""

    row: KeyRow
    scopes: tuple[str, ...]
    allowed_models: tuple[str, ...]
    """Empty: all but `denied_models`."""
    denied_models: tuple[str, ...]
    limits: tuple[Limit, ...]


def judge(row: KeyRow | None, now: datetime) -> Principal:
    """Say who stands behind a key.

    Raises:
        CapstanError: KEY_INVALID for unknown, revoked and expired keys, and those whose owner is gone or may not use
            the project any more, in the same words; PROJECT_ARCHIVED.
    """
    if row is None or not _good(row, now):
        raise CapstanError(Reason.KEY_INVALID, "the key is not valid")
    if row.archived_at is not None:
        raise CapstanError(Reason.PROJECT_ARCHIVED, "the key's project was archived")
    if row.kind == "admin":
        return Principal(row, row.scopes, (), (), ())
    allowed, denied = models_of(row)
    return Principal(row, row.owner_grants.scopes_of(row.scopes), allowed, denied, limits_of(row))


def _good(row: KeyRow, now: datetime) -> bool:
    in_time = row.revoked_at is None and (row.expires_at is None or row.expires_at > now)
    return in_time and row.owner_active and (row.kind == "admin" or row.owner_grants.usable)


def models_of(row: KeyRow) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Answer which models a key is allowed (none named: all) and which it is denied.

    Where the key and its project are allowed different ones, an empty list would mean all: then what the key names is
    denied besides.
    """
    if not row.allowed_models:
        return row.project_models, row.denied_models
    if not row.project_models:
        return row.allowed_models, row.denied_models
    both = tuple(model for model in row.allowed_models if model in row.project_models)
    return (both, row.denied_models) if both else (row.allowed_models, row.denied_models + row.allowed_models)


def limits_of(row: KeyRow) -> tuple[Limit, ...]:
    """Collect what binds a key: what its organisation may use, then what its project and it itself were given."""
    organization = of_organization(tier(row.tier), row.organization_limits)
    return binding((("organization", organization), ("project", row.project_limits), ("key", row.key_limits)))
