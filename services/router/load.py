"""How busy a replica says it is, and what that means for the next request."""

from __future__ import annotations

from dataclasses import dataclass

TYPICAL_TOKENS = 1024
"""Tokens of a request that weighs as much as its slot in the batch: what makes tokens and slots comparable, and what is
assumed of requests that another router placed."""

DEFAULT_SLOTS = 256
"""Requests that a replica runs at once when it does not say: the engine's own default."""


@dataclass(frozen=True, slots=True)
class Load:
    """A replica's report."""

    running_count: int
    waiting_count: int
    kv_usage: float
    """Share of the KV cache in use, 0 to 1."""
    accepting: bool
    stalled_s: float | None
    """Seconds without a token in spite of work; None when it makes some or has nothing to do."""
    slots: int
    """Requests it runs at once at the most; 0 when it does not say."""
    generated_tokens: int = 0
    """Tokens it generated since its start."""
    prefix_query_tokens: int = 0
    """Prompt tokens it looked up in its cache since its start."""
    prefix_hit_tokens: int = 0
    """Those that it found."""
    adapters: frozenset[str] = frozenset()
    """Names of loaded adapters."""
    idle_s: float | None = None
    """Seconds since it last had a request of any kind; None when it does not tell."""


def pressure(*, requests: int, waiting: int, tokens: int, kv_usage: float, slots: int) -> float:
    """Weigh a replica: 0 is idle, about 3 is full with nothing waiting. Grows with each of its arguments but `slots`.

    Slots, tokens and KV cache are the three things that run out; which does so first depends on the traffic, so each
    counts as the share of it that is taken. What waits in the engine counts a second time, because it is sure to delay.
    """
    return (requests + waiting + tokens / TYPICAL_TOKENS) / slots + kv_usage
