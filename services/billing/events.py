"""What one request used, as billing understands it, and what makes such a statement acceptable."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.clock import TOLERATED_SKEW_S

LONGEST_TEXT = 256
"""Characters of an id or a model's name, at most."""

DEFAULT_TIER = "default"
"""The tier of a request that says nothing of any."""

MOST_TOKENS = 1 << 40
"""Tokens of one event, at most: far above any context, far below what overflows an amount."""

TOLERATED_SKEW = timedelta(seconds=TOLERATED_SKEW_S)
"""How far a gateway's clock may run ahead before its start times are not believed any more."""


class Endpoint(enum.StrEnum):
    """Which API was used."""

    CHAT_COMPLETIONS = "chat_completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MODERATIONS = "moderations"


class Outcome(enum.StrEnum):
    """How a request ended."""

    OK = "ok"
    CLIENT_CLOSED = "client_closed"
    TRUNCATED = "truncated"
    ENGINE_ERROR = "engine_error"
    SERVER_ERROR = "server_error"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One request's usage. Immutable once recorded. Times are aware; token counts are 0 or greater."""

    request_id: str
    organization_id: str
    project_id: str
    key_id: str
    owner_id: str
    model: str
    endpoint: Endpoint
    outcome: Outcome
    start_time: datetime
    finish_time: datetime
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    usage_estimated: bool
    batch: bool = False
    service_tier: str = DEFAULT_TIER
    price_version: int = 0
    """Version of the price book that the request was admitted at; 0: the one in force at its start."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as it arrived: understood, or with the reason why not. `payload` is kept when it has to be parked."""

    request_id: str
    organization_id: str
    payload: bytes
    event: UsageEvent | None
    fault: str = ""
    ahead: timedelta = timedelta()
    """How far the clock is ahead that the payload's times were read off; the event's are by ours."""

    @property
    def digest(self) -> bytes:
        """What tells one delivery from another when nothing in it can be trusted."""
        return hashlib.sha256(self.payload).digest()


def fault_of(event: UsageEvent) -> str:
    """Say what is wrong with an event; empty when nothing is."""
    required = {"request_id": event.request_id, "organization_id": event.organization_id, "model": event.model}
    for name, text in required.items():
        if not text:
            return f"{name} is empty"
    texts = required | {
        "project_id": event.project_id,
        "key_id": event.key_id,
        "owner_id": event.owner_id,
        "service_tier": event.service_tier,
    }
    for name, text in texts.items():
        if len(text) > LONGEST_TEXT:
            return f"{name} is longer than {LONGEST_TEXT} characters"
        if "\0" in text:
            return f"{name} contains NUL, which PostgreSQL cannot store"
    return _fault_of_counts(event)


def _fault_of_counts(event: UsageEvent) -> str:
    counts = (
        event.prompt_tokens,
        event.cached_prompt_tokens,
        event.completion_tokens,
        event.reasoning_tokens,
    )
    if min(counts) < 0:
        return "a token count is negative"
    if max(counts) > MOST_TOKENS:
        return "a token count is impossibly large"
    if event.cached_prompt_tokens > event.prompt_tokens:
        return "more prompt tokens were cached than there were"
    if event.reasoning_tokens > event.completion_tokens:
        return "more reasoning tokens than completion tokens"
    return ""


def by_our_clock(event: UsageEvent, ahead: timedelta) -> UsageEvent:
    """Put times right that were read off a clock that is `ahead` of ours; of what is tolerated nothing is changed.

    Raises `OverflowError` where that leads out of the calendar.
    """
    if abs(ahead) <= TOLERATED_SKEW:
        return event
    return dataclasses.replace(event, start_time=event.start_time - ahead, finish_time=event.finish_time - ahead)


def with_believable_times(event: UsageEvent, received: datetime) -> UsageEvent:
    """Put times right that cannot be: a start in the future is `received`, an end before the start is the start.

    A gateway whose clock runs ahead would else be billed at a price, or in a month, that has not come yet.
    """
    start = received if event.start_time > received + TOLERATED_SKEW else event.start_time
    finish = max(start, event.finish_time if event.finish_time <= received + TOLERATED_SKEW else received)
    if (start, finish) == (event.start_time, event.finish_time):
        return event
    return dataclasses.replace(event, start_time=start, finish_time=finish)
