"""What was done, by whom, from where."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from services.gateway.schema.answers import AnswerModel


class AuditProject(AnswerModel):
    """Where it was done."""

    id: str
    name: str


class AuditActor(AnswerModel):
    """Who did it: an API key in OpenAI's shape, or nobody's session when the installation did it itself."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["api_key", "session"]
    api_key: dict[str, Any] | None = None
    """`id`, `type` ("user" or "service_account"), and that object with its `id` and a user's `email`."""
    session: dict[str, Any] | None = None
    ip_address: str | None = None
    """Capstan's own. Null: not known."""
    request_id: str | None = None
    """Capstan's own. Null: not known."""


class AuditEntry(AnswerModel):
    """One thing that was done. Under the name of its `type` it says to what."""

    model_config = ConfigDict(extra="allow")

    id: str
    """"audit_log-…"."""
    type: str
    """Such as "project.created"."""
    effective_at: int
    """Unix seconds."""
    actor: AuditActor
    project: AuditProject | None = None
    """Null: in none."""
