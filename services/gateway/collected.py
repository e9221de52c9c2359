"""A whole answer, put together from its deltas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from services.gateway.deltas import Delta, TokenLogprob, finish_word


@dataclass(slots=True)
class ToolCall:
    """One call of a function, as far as it has arrived."""

    call_id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Choice:
    """One choice, as far as it has arrived."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    tool_calls: dict[int, ToolCall] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: str | None = None

    def add(self, delta: Delta) -> None:
        """Take one delta in."""
        if delta.text:
            self.text.append(delta.text)
        if delta.reasoning:
            self.reasoning.append(delta.reasoning)
        for part in delta.tool_calls:
            call = self.tool_calls.setdefault(part.index, ToolCall())
            call.call_id = call.call_id or part.call_id
            call.name = call.name or part.name
            call.arguments.append(part.arguments)
        self.logprobs.extend(delta.logprobs)
        if delta.finish_reason:
            self.finish_reason = finish_word(delta.finish_reason)


async def collect(batches: AsyncIterator[Sequence[tuple[int, Delta]]], choice_count: int) -> list[Choice]:
    """Put the whole answer together; as many choices as were asked for, in their order."""
    choices = [Choice() for _ in range(choice_count)]
    async for batch in batches:
        take(choices, batch)
    return choices


def take(choices: Sequence[Choice], batch: Sequence[tuple[int, Delta]]) -> None:
    """Put a batch of deltas where they belong."""
    for base, delta in batch:
        choices[base + delta.choice].add(delta)
