"""Legacy completions as OpenAI writes them: `text_completion`, whole and in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from services.gateway.chat_answers import Head, usage_json
from services.gateway.collected import Choice
from services.gateway.deltas import Delta, TokenLogprob, Usage, finish_word

Json = dict[str, Any]

UNKNOWN_LOGPROB = -9999.0
"""What the engine reports where there is none: for the first token of an echoed prompt."""


def logprobs_json(logprobs: Iterable[TokenLogprob], offset: int) -> tuple[Json, int]:
    """Write log probabilities in the legacy shape; `offset` counts characters from the start of the text so far.

    The chosen token is always among the top ones. Answers the offset after the last token as well.
    """
    tokens: list[str] = []
    chosen: list[float | None] = []
    top: list[dict[str, float] | None] = []
    offsets: list[int] = []
    for item in logprobs:
        token = item.chosen.token.decode("utf-8", "replace")
        known = item.chosen.logprob > UNKNOWN_LOGPROB
        tokens.append(token)
        chosen.append(item.chosen.logprob if known else None)
        likeliest = {entry.token.decode("utf-8", "replace"): entry.logprob for entry in item.top}
        top.append({**likeliest, token: item.chosen.logprob} if known else None)
        offsets.append(offset)
        offset += len(token)
    return {"tokens": tokens, "token_logprobs": chosen, "top_logprobs": top, "text_offset": offsets}, offset


def completion(
    head: Head, choices: Sequence[Choice], usage: Usage, *, logprobs: bool, offsets: Sequence[int] = ()
) -> bytes:
    """Write a whole answer. `offsets`: characters of the prompt before each choice's first token; empty: none."""
    return orjson.dumps(
        {
            "id": head.answer_id,
            "object": "text_completion",
            "created": head.created,
            "model": head.model,
            "choices": [
                {
                    "text": "".join(choice.text),
                    "index": index,
                    "logprobs": logprobs_json(choice.logprobs, offsets[index] if offsets else 0)[0]
                    if logprobs
                    else None,
                    "finish_reason": choice.finish_reason,
                }
                for index, choice in enumerate(choices)
            ],
            "usage": usage_json(usage),
            "system_fingerprint": head.fingerprint,
        }
    )


class ChunkWriter:
    """Writes the chunks of one stream. `offsets` as for `completion`."""

    def __init__(self, head: Head, *, include_usage: bool, logprobs: bool, offsets: Sequence[int] = ()) -> None:
        self._logprobs = logprobs
        self._offsets = dict(enumerate(offsets))
        frame = orjson.dumps(
            {
                "id": head.answer_id,
                "object": "text_completion",
                "created": head.created,
                "model": head.model,
                "system_fingerprint": head.fingerprint,
            }
        )
        self._prefix = b"data: " + frame[:-1] + b',"choices":['
        self._suffix = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"

    def write(self, batch: Sequence[tuple[int, Delta]]) -> bytes:
        """Write the chunks of a batch of deltas, one event each."""
        parts: list[bytes] = []
        for base, delta in batch:
            index = base + delta.choice
            reason = finish_word(delta.finish_reason) if delta.finish_reason else None
            if delta.text or reason or delta.logprobs:
                logprobs = None
                if self._logprobs:
                    logprobs, self._offsets[index] = logprobs_json(delta.logprobs, self._offsets.get(index, 0))
                choice = {"text": delta.text, "index": index, "logprobs": logprobs, "finish_reason": reason}
                parts += (self._prefix, orjson.dumps(choice), self._suffix)
        return b"".join(parts)

    def usage(self, usage: Usage) -> bytes:
        """Write the last chunk of a stream that asked for usage: no choices."""
        return self._prefix + b'],"usage":' + orjson.dumps(usage_json(usage)) + b"}\n\n"
