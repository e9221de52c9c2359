"""Who is calling, as the gateway needs it: a plain value, so that judging a request needs no message of auth's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["key", "project", "organization"]
FailureMode = Literal["open", "local", "closed"]
ModerationPolicy = Literal["off", "advisory", "required"]


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
    """A refused request counts a hundredth of one."""


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

    def subject(self, scope: Scope) -> str:
        """Id of whom a limit of `scope` binds."""
        return {"key": self.key_id, "project": self.project_id, "organization": self.organization_id}[scope]

    def may_use(self, model: str) -> bool:
        """Whether the project is allowed the model."""
        return not self.allowed_models or model in self.allowed_models
