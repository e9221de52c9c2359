"""The writers of answers, held to the shapes that /docs shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from services.gateway import chat_answers, text_answers
from services.gateway.collected import Choice, ToolCall
from services.gateway.deltas import Usage
from services.gateway.schema.answers import ChatCompletion, ChatCompletionChunk, Completion, CompletionChunk

HEAD = chat_answers.Head("chatcmpl-1", 1_700_000_000, "m", "fp_1")
USAGE = Usage(prompt_tokens=5, cached_prompt_tokens=2, completion_tokens=3, reasoning_tokens=1)


@dataclass(frozen=True)
class Entry:
    token: bytes
    logprob: float


@dataclass(frozen=True)
class Logprob:
    chosen: Entry
    top: Sequence[Entry] = ()


@dataclass(frozen=True)
class Call:
    index: int = 0
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True)
class Delta:
    choice: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[Call] = ()
    token_count: int = 1
    logprobs: Sequence[Logprob] = field(default_factory=list)
    finish_reason: int = 0


LOGPROBS = [
    Logprob(Entry(b"Hi", -0.5), [Entry(b"Hi", -0.5), Entry(b"\xf0\x9f", -9999.0)]),
    Logprob(Entry(b"!", -1.0)),
]
DELTAS = [
    (0, Delta(reasoning="hm")),
    (0, Delta(text="Hi", logprobs=LOGPROBS[:1])),
    (0, Delta(choice=1, tool_calls=[Call(0, "call_1", "f", ""), Call(1, "call_2", "g", '{"a"')])),
    (0, Delta(choice=1, tool_calls=[Call(1, arguments=": 1}")])),
    (0, Delta(text="!", logprobs=LOGPROBS[1:], finish_reason=1)),
    (0, Delta(choice=1, finish_reason=3)),
]


def events(stream: bytes) -> list[str]:
    parts = stream.decode().split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") for part in parts)
    return [part.removeprefix("data: ") for part in parts]


@pytest.mark.parametrize("logprobs", [True, False])
def test_a_whole_chat_answer_has_its_shape(logprobs: bool) -> None:
    choices = [
        Choice(text=["Hi", "!"], reasoning=["hm"], logprobs=list(LOGPROBS), finish_reason="stop"),
        Choice(tool_calls={0: ToolCall("call_1", "f", ["{}"])}, finish_reason="tool_calls"),
    ]
    written = chat_answers.completion(HEAD, choices, USAGE, logprobs=logprobs, service_tier="default")
    answer = ChatCompletion.model_validate_json(written, strict=True)
    assert answer.choices[1].message.content is None
    assert (answer.choices[0].logprobs is not None) is logprobs
    assert answer.usage.total_tokens == 8


@pytest.mark.parametrize("include_usage", [True, False])
@pytest.mark.parametrize("logprobs", [True, False])
def test_every_chat_chunk_has_its_shape(include_usage: bool, logprobs: bool) -> None:
    writer = chat_answers.ChunkWriter(HEAD, include_usage=include_usage, logprobs=logprobs, service_tier="default")
    written = writer.write(DELTAS) + (writer.usage(USAGE) if include_usage else b"")
    chunks = [ChatCompletionChunk.model_validate_json(event, strict=True) for event in events(written)]
    finished = [(choice.index, choice.finish_reason) for chunk in chunks for choice in chunk.choices]
    assert [entry for entry in finished if entry[1]] == [(0, "stop"), (1, "tool_calls")]
    assert ["usage" in json.loads(event) for event in events(written)] == [include_usage] * len(chunks)
    assert [chunk.choices == [] for chunk in chunks] == [False] * (len(chunks) - include_usage) + [True] * include_usage


def test_a_whole_text_completion_has_its_shape() -> None:
    choices = [Choice(text=["Hi", "!"], logprobs=list(LOGPROBS), finish_reason="length")]
    written = text_answers.completion(HEAD, choices, USAGE, logprobs=True)
    logprobs = Completion.model_validate_json(written, strict=True).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens == ["Hi", "!"]


@pytest.mark.parametrize("include_usage", [True, False])
def test_every_text_chunk_has_its_shape(include_usage: bool) -> None:
    writer = text_answers.ChunkWriter(HEAD, include_usage=include_usage, logprobs=True)
    deltas = [
        (0, Delta(text="Hi", logprobs=LOGPROBS[:1])),
        (0, Delta(text="!", logprobs=LOGPROBS[1:], finish_reason=2)),
    ]
    written = writer.write(deltas) + (writer.usage(USAGE) if include_usage else b"")
    chunks = [CompletionChunk.model_validate_json(event, strict=True) for event in events(written)]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "Hi!"
