"""Who is calling, as the gateway needs it: a plain value, so that judging a request needs no message of auth's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.gateway.client_address import Network

Scope = Literal["key", "project", "organization"]
FailureMode = Literal["open", "local", "closed"]
ModerationPolicy = Literal["off", "advisory", "required"]
KeyKind = Literal["user", "service_account", "admin"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One rate limit that binds the caller. `model` "" stands for each model on its own. None: not limited."""

    scope: Scope
    model: str
    requests_per_minute: int | None
    tokens_per_minute: int | None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None
    concurrent_requests: int | None = None
    shadow: bool = False
    """Counted, never refusing, never told to clients."""
    failure_mode: FailureMode = "local"
    """What holds while ratelimit is away."""
    burst_percent: int = 100
    """How much of a minute's limit may come at once."""
    count_rejected: bool = True
    """A refused request counts a thousandth of one."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of an accepted key."""

    organization_id: str
    project_id: str
    key_id: str
    owner_id: str
    scopes: frozenset[str]
    allowed_models: frozenset[str]
    moderation: ModerationPolicy
    limits: tuple[Limit, ...]
    expires_at: float | None
    """Unix seconds; None: never."""
    kind: KeyKind = "user"
    """Whose key it is; an admin key belongs to no project."""
    denied_models: frozenset[str] = frozenset()
    allowed_ips: tuple[Network, ...] = ()
    """Where the key may be used from; empty: anywhere."""

    @property
    def is_admin(self) -> bool:
        """Whether the key is for managing and not for using."""
        return self.kind == "admin"

    @property
    def chooses_models(self) -> bool:
        """Whether the project may use some models and not others."""
        return bool(self.allowed_models or self.denied_models)

    def subject(self, scope: Scope) -> str:
        """Id of whom a limit of `scope` binds."""
        return {"key": self.key_id, "project": self.project_id, "organization": self.organization_id}[scope]

    def may_use(self, *names: str, base: str = "") -> bool:
        """Whether the project is allowed a model that goes by these names: one allowed is enough, so is one denied.

        `base`: what it adapts, which denies it too, and does not allow it.
        """
        if base in self.denied_models or not self.denied_models.isdisjoint(names):
            return False
        return not self.allowed_models or not self.allowed_models.isdisjoint(names)
