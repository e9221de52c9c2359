"""Usage events for tests."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from services.billing.events import Endpoint, Outcome, UsageEvent

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

EVENT = UsageEvent(
    request_id="req_1",
    organization_id="org-1",
    project_id="proj_1",
    key_id="key_1",
    owner_id="user-1",
    model="capstan-demo",
    endpoint=Endpoint.CHAT_COMPLETIONS,
    outcome=Outcome.OK,
    start_time=NOON,
    finish_time=NOON,
    prompt_tokens=100,
    cached_prompt_tokens=40,
    completion_tokens=20,
    reasoning_tokens=5,
    usage_estimated=False,
)


def event(**changes: Any) -> UsageEvent:
    """The usual event, but for some fields."""
    return replace(EVENT, **changes)


@st.composite
def events(draw: st.DrawFn, most_tokens: int = 1 << 40) -> UsageEvent:
    """Any acceptable event."""
    prompt, completion = draw(st.integers(0, most_tokens)), draw(st.integers(0, most_tokens))
    return event(
        outcome=draw(st.sampled_from(Outcome)),
        prompt_tokens=prompt,
        cached_prompt_tokens=draw(st.integers(0, prompt)),
        completion_tokens=completion,
        reasoning_tokens=draw(st.integers(0, completion)),
    )
