"""The second witness: what an engine counted, and what it makes of an event whose gateway cannot finish it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

from services.billing.events import LONGEST_TEXT, MOST_TOKENS, Outcome, UsageEvent


@dataclass(frozen=True, slots=True)
class Counted:
    """What an engine counted for a request, or a part of one."""

    request_id: str
    part_id: str
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    finish_time: datetime
    failed: bool
    """The engine failed, which costs nothing."""


@dataclass(frozen=True, slots=True)
class Testimony:
    """A report about one part, with what its gateway gave along."""

    counted: Counted
    admission: bytes
    organization_id: str = ""
    """Whose request it was, as the admission says; empty when that is no id."""


def fault_of(counted: Counted) -> str:
    """Say what is wrong with a count; empty when nothing is."""
    for text in (counted.request_id, counted.part_id):
        if not text or len(text) > LONGEST_TEXT or "\0" in text:
            return "an id is missing or no id"
    counts = (
        counted.prompt_tokens,
        counted.cached_prompt_tokens,
        counted.completion_tokens,
        counted.reasoning_tokens,
    )
    if min(counts) < 0 or max(counts) > MOST_TOKENS:
        return "a token count is out of range"
    if counted.cached_prompt_tokens > counted.prompt_tokens or counted.reasoning_tokens > counted.completion_tokens:
        return "a part is larger than its whole"
    return ""


def recovered(event: UsageEvent, counted: Counted) -> UsageEvent:
    """Make of an event that its gateway left unfinished the one that the engine's count says it should have been."""
    return dataclasses.replace(
        event,
        outcome=Outcome.ENGINE_ERROR if counted.failed else Outcome.RECOVERED,
        prompt_tokens=counted.prompt_tokens,
        cached_prompt_tokens=counted.cached_prompt_tokens,
        completion_tokens=counted.completion_tokens,
        reasoning_tokens=counted.reasoning_tokens,
        finish_time=max(event.start_time, counted.finish_time),
        usage_estimated=False,
    )
