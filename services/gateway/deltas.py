"""What a step brings for one request, as the rest of the gateway sees it.

Structural types: the transport hands over its own objects as they are, since building one of ours for every token would
cost more than writing it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class LogprobEntry(Protocol):
    """A token (bytes, perhaps part of a character) and its natural-log probability."""

    @property
    def token(self) -> bytes: ...  # noqa: D102
    @property
    def logprob(self) -> float: ...  # noqa: D102


class TokenLogprob(Protocol):
    """The chosen token and the likeliest at its place."""

    @property
    def chosen(self) -> LogprobEntry: ...  # noqa: D102
    @property
    def top(self) -> Sequence[LogprobEntry]: ...  # noqa: D102


class ToolCallDelta(Protocol):
    """Part of a tool call; `call_id` and `name` only in its first part."""

    @property
    def index(self) -> int: ...  # noqa: D102
    @property
    def call_id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def arguments(self) -> str: ...  # noqa: D102


class Delta(Protocol):
    """News of one choice. `finish_reason` is a key of `FINISH_REASONS`, 0 while the choice goes on."""

    @property
    def choice(self) -> int: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def reasoning(self) -> str: ...  # noqa: D102
    @property
    def tool_calls(self) -> Sequence[ToolCallDelta]: ...  # noqa: D102
    @property
    def token_count(self) -> int: ...  # noqa: D102
    @property
    def logprobs(self) -> Sequence[TokenLogprob]: ...  # noqa: D102
    @property
    def finish_reason(self) -> int: ...  # noqa: D102


# OpenAI's words for the numbers of `Delta.finish_reason`; a test holds them to the proto. An aborted choice reaches a
# client that is still there only in a shutdown, for which OpenAI's vocabulary has no better word.
FINISH_REASONS: Mapping[int, str] = {1: "stop", 2: "length", 3: "tool_calls", 4: "length"}


def finish_word(number: int) -> str:
    """Put a finish reason in OpenAI's word; a reason that only a newer replica knows is still an end: "stop"."""
    return FINISH_REASONS.get(number, "stop")


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request, as the engine counted them."""

    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens
