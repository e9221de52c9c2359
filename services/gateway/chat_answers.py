"""Chat answers as OpenAI writes them: `chat.completion` whole, `chat.completion.chunk` in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.gateway.collected import Choice
from services.gateway.deltas import Delta, LogprobEntry, TokenLogprob, Usage, finish_word
from services.gateway.stream import event

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What every piece of one answer repeats."""

    answer_id: str
    created: int
    """Unix seconds."""
    model: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class CallWords:
    """How an answer speaks of calls, which depends on how the request asked for them."""

    legacy: bool = False
    """`function_call` for a request with `functions`, instead of `tool_calls`."""
    named: bool = False
    """The request named the function: that it was called is then no news, and the answer ends with `stop`."""

    def finish_reason(self, reason: str | None) -> str | None:
        """Put the engine's reason in these words."""
        if reason != "tool_calls":
            return reason
        if self.named:
            return "stop"
        return "function_call" if self.legacy else reason


PLAIN = CallWords()


def usage_json(usage: Usage) -> Json:
    """Write usage; the engine serves no audio and predicts nothing, so those counts are 0."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_prompt_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _entry_json(entry: LogprobEntry) -> Json:
    return {
        "token": entry.token.decode("utf-8", "replace"),
        "logprob": entry.logprob,
        "bytes": list(entry.token),
    }


def logprobs_json(logprobs: Iterable[TokenLogprob]) -> Json:
    """Write the log probabilities of some tokens."""
    content = [_entry_json(item.chosen) | {"top_logprobs": [_entry_json(e) for e in item.top]} for item in logprobs]
    return {"content": content, "refusal": None}


def completion(
    head: Head,
    choices: Sequence[Choice],
    usage: Usage,
    *,
    logprobs: bool,
    service_tier: str,
    words: CallWords = PLAIN,
) -> bytes:
    """Write a whole answer."""
    return orjson.dumps(
        {
            "id": head.answer_id,
            "object": "chat.completion",
            "created": head.created,
            "model": head.model,
            "choices": [_choice_json(index, choice, logprobs, words) for index, choice in enumerate(choices)],
            "usage": usage_json(usage),
            "service_tier": service_tier,
            "system_fingerprint": head.fingerprint,
        }
    )


def _choice_json(index: int, choice: Choice, logprobs: bool, words: CallWords) -> Json:
    text = "".join(choice.text)
    message: Json = {
        "role": "assistant",
        "content": text if text or not choice.tool_calls else None,
        "refusal": None,
        "annotations": [],
    }
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    if choice.tool_calls and words.legacy:
        call = choice.tool_calls[min(choice.tool_calls)]
        message["function_call"] = {"name": call.name, "arguments": "".join(call.arguments)}
    elif choice.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.arguments)},
            }
            for _, call in sorted(choice.tool_calls.items())
        ]
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs_json(choice.logprobs) if logprobs else None,
        "finish_reason": words.finish_reason(choice.finish_reason),
    }


class ChunkWriter:
    """Writes the chunks of one stream.

    A choice opens with its role, goes on with its deltas and closes with its finish reason; choices interleave as their
    tokens come.
    """

    def __init__(
        self, head: Head, *, include_usage: bool, logprobs: bool, service_tier: str, words: CallWords = PLAIN
    ) -> None:
        self._logprobs = logprobs
        self._words = words
        self._opened: set[int] = set()
        frame = orjson.dumps(
            {
                "id": head.answer_id,
                "object": "chat.completion.chunk",
                "created": head.created,
                "model": head.model,
                "service_tier": service_tier,
                "system_fingerprint": head.fingerprint,
            }
        )
        # Everything but the choices is the same in each chunk, so it is written once.
        self._prefix = b"data: " + frame[:-1] + b',"choices":['
        self._suffix = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self._text_suffix = b'},"logprobs":null,"finish_reason":null}' + self._suffix
        self._text_prefixes: dict[int, bytes] = {}

    def write(self, batch: Sequence[tuple[int, Delta]]) -> bytes:
        """Write the chunks of a batch of deltas, one event each."""
        parts: list[bytes] = []
        for base, delta in batch:
            index = base + delta.choice
            if index not in self._opened:
                self._open(index, delta, parts)
            text = delta.text
            if self._logprobs or delta.reasoning or delta.tool_calls:
                self._rich(index, delta, parts)
            elif text:
                parts += (self._text_prefixes[index], orjson.dumps(text), self._text_suffix)
            if delta.finish_reason:
                reason = self._words.finish_reason(finish_word(delta.finish_reason))
                self._choice(index, {}, None, reason, parts)
        return b"".join(parts)

    def _open(self, index: int, delta: Delta, parts: list[bytes]) -> None:
        self._opened.add(index)
        self._text_prefixes[index] = self._prefix + b'{"index":%d,"delta":{"content":' % index
        content = None if delta.tool_calls else ""
        self._choice(index, {"role": "assistant", "content": content, "refusal": None}, None, None, parts)

    def _rich(self, index: int, delta: Delta, parts: list[bytes]) -> None:
        """Write a delta with more than text. Parts of two tool calls never share a chunk."""
        logprobs = logprobs_json(delta.logprobs) if self._logprobs else None
        if delta.reasoning:
            self._choice(index, {"reasoning_content": delta.reasoning}, None, None, parts)
        if delta.text or delta.logprobs:
            self._choice(index, {"content": delta.text}, logprobs, None, parts)
        for part in delta.tool_calls:
            function: Json = {"arguments": part.arguments}
            if self._words.legacy:
                named = {"name": part.name} if part.call_id else {}
                self._choice(index, {"function_call": named | function}, None, None, parts)
                continue
            call: Json = {"index": part.index, "function": function}
            if part.call_id:
                call |= {"id": part.call_id, "type": "function", "function": {"name": part.name, **function}}
            self._choice(index, {"tool_calls": [call]}, None, None, parts)

    def _choice(
        self, index: int, delta: Json, logprobs: Json | None, finish_reason: str | None, parts: list[bytes]
    ) -> None:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        parts += (self._prefix, orjson.dumps(choice), self._suffix)

    def usage(self, usage: Usage) -> bytes:
        """Write the last chunk of a stream that asked for usage: no choices."""
        return self._prefix + b'],"usage":' + orjson.dumps(usage_json(usage)) + b"}\n\n"


__all__ = ["ChunkWriter", "Head", "completion", "event", "logprobs_json", "usage_json"]
