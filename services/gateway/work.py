"""What a request wants, as admission needs to know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.gateway.peers.router import Kind
from services.gateway.usage_record import Endpoint


@dataclass(frozen=True, slots=True)
class Work:
    """What a request wants, in the terms of admission."""

    endpoint: Endpoint
    kind: Kind
    model: str
    """As the client named it."""
    prompt_tokens: int
    """Estimated."""
    completion_tokens: int
    """Estimated, over all choices."""
    texts: Callable[[], Sequence[str]]
    """What moderation would read; called only when the policy asks."""
    batch: bool = False
    """True when the request is part of a batch, which has its own price."""
    service_tier: str = "default"
    """Tier it is served in, which may have its own price."""
    bounded: bool = True
    """True when `completion_tokens` is the client's own maximum; False: it is a forecast."""
    answer_count: int = 1
    """Choices of all prompts."""
    prompt_count: int = 1
    """Prompts or inputs, each with a context of its own."""
