"""Streams: the same answer in pieces, in the order that the SDK's loops rely on."""

from typing import Any

import pytest
from openai import OpenAI

from tests.contract.suite import Suite

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


def test_the_pieces_are_the_whole(client: OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=CAPITAL, temperature=0)
    text = ""
    for chunk in client.chat.completions.create(model=model, messages=CAPITAL, temperature=0, stream=True):
        text += chunk.choices[0].delta.content or ""
    assert text == whole.choices[0].message.content


def test_each_choice_opens_with_its_role_and_ends_with_its_reason_once(strict: OpenAI, model: str) -> None:
    chunks = list(strict.chat.completions.create(model=model, messages=CAPITAL, n=2, stream=True, temperature=0))
    assert len({(chunk.id, chunk.created, chunk.model, chunk.system_fingerprint) for chunk in chunks}) == 1
    for index in (0, 1):
        mine = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
        assert [choice.delta.role for choice in mine].count("assistant") == 1
        assert mine[0].delta.role == "assistant"
        assert [choice.finish_reason for choice in mine if choice.finish_reason] == ["stop"]
        assert mine[-1].finish_reason == "stop"
        assert "Paris" in "".join(choice.delta.content or "" for choice in mine)


def test_usage_comes_last_and_only_when_asked_for(strict: OpenAI, model: str) -> None:
    whole = strict.chat.completions.create(model=model, messages=CAPITAL, temperature=0)
    *pieces, last = strict.chat.completions.create(
        model=model, messages=CAPITAL, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    assert last.choices == []
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens
    assert all(chunk.usage is None and chunk.choices for chunk in pieces)
    unasked = list(strict.chat.completions.create(model=model, messages=CAPITAL, temperature=0, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in unasked)


def test_log_probabilities_come_with_their_pieces(strict: OpenAI, model: str) -> None:
    text, told = "", b""
    for chunk in strict.chat.completions.create(
        model=model, messages=CAPITAL, temperature=0, stream=True, logprobs=True
    ):
        text += chunk.choices[0].delta.content or ""
        if chunk.choices[0].logprobs:
            told += b"".join(bytes(token.bytes or b"") for token in chunk.choices[0].logprobs.content or ())
    assert told.decode().startswith(text)
    assert "Paris" in text


def test_the_sdks_accumulator_makes_the_whole_answer(client: OpenAI, model: str) -> None:
    with client.chat.completions.stream(model=model, messages=CAPITAL, temperature=0) as stream:
        completion = stream.get_final_completion()
    assert "Paris" in completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_a_stream_is_server_sent_events_that_end_with_done(suite: Suite, model: str, options: dict[str, Any]) -> None:
    answer = suite.post("/v1/chat/completions", {"model": model, "messages": CAPITAL, "stream": True} | options)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = answer.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(event.startswith("data: {") for event in events[:-2])
