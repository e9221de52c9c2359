"""What a model thinks, from the engine to the client: apart from its answer, whole and streamed, and counted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chassis.testing import running
from services.gateway.app import build
from services.inference.app import build as build_inference
from services.inference.settings import Settings as InferenceSettings
from tests.integration.gateway.client import Answer, Client
from tests.integration.gateway.scripted import KEY, MODEL, Peers, settings

TOKENS = 20
CHAT: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
RESPONSE: dict[str, Any] = {"model": MODEL, "input": "Hello", "temperature": 0, "store": False}


@pytest.fixture
async def thinker(scripted: Peers) -> AsyncIterator[Client]:
    """A client of a gateway whose one replica is a real inference service with a simulator that thinks."""
    simulator = InferenceSettings(
        model_name=MODEL,
        engine="simulator",
        reasoning_parser="qwen3",
        sim_ttft_s=0,
        sim_tokens_per_s=0,
        sim_think_tokens=TOKENS,
    )
    async with running("inference", build_inference, simulator) as inference:
        scripted.router.replicas = {"replica": inference.address}
        async with running("gateway", build, settings(scripted)):
            yield Client(scripted.folder / "http.sock", KEY)


def events(answer: Answer) -> list[dict[str, Any]]:
    lines = answer.body.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


async def test_a_whole_chat_answer_tells_the_thought_apart(thinker: Client) -> None:
    told = (await thinker.post("/v1/chat/completions", CHAT)).json()
    message = told["choices"][0]["message"]
    assert message["reasoning_content"].strip()
    assert message["content"]
    assert "think>" not in message["reasoning_content"] + message["content"]
    usage = told["usage"]
    assert TOKENS <= usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]


async def test_a_streamed_chat_answer_says_the_same(thinker: Client) -> None:
    whole = (await thinker.post("/v1/chat/completions", CHAT)).json()
    streamed = await thinker.post(
        "/v1/chat/completions", CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    )
    *chunks, last = events(streamed)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    thoughts = [index for index, delta in enumerate(deltas) if delta.get("reasoning_content")]
    words = [index for index, delta in enumerate(deltas) if delta.get("content")]
    assert max(thoughts) < min(words)  # in however many pieces: what waits for a slow reader is joined
    message = whole["choices"][0]["message"]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == message["reasoning_content"]
    assert "".join(delta.get("content") or "" for delta in deltas) == message["content"]
    assert last["usage"] == whole["usage"]


async def test_a_whole_response_has_an_item_for_the_thought(thinker: Client) -> None:
    told = (await thinker.post("/v1/responses", RESPONSE)).json()
    thought, message = told["output"]
    assert (thought["type"], message["type"]) == ("reasoning", "message")
    assert thought["content"][0]["type"] == "reasoning_text"
    assert thought["content"][0]["text"].strip()
    assert "think>" not in thought["content"][0]["text"] + message["content"][0]["text"]
    assert told["usage"]["output_tokens_details"]["reasoning_tokens"] >= TOKENS


async def test_a_streamed_response_says_the_same(thinker: Client) -> None:
    whole = (await thinker.post("/v1/responses", RESPONSE)).json()
    told = events(await thinker.post("/v1/responses", RESPONSE | {"stream": True}))
    kinds = [event["type"] for event in told]
    assert kinds.index("response.reasoning_text.done") < kinds.index("response.output_text.delta")
    thought = "".join(event["delta"] for event in told if event["type"] == "response.reasoning_text.delta")
    assert thought == whole["output"][0]["content"][0]["text"]
    assert told[-1]["type"] == "response.completed"
    assert told[-1]["response"]["usage"] == whole["usage"]


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh", "max"])
async def test_every_effort_is_taken(thinker: Client, effort: str) -> None:
    told = (await thinker.post("/v1/chat/completions", CHAT | {"reasoning_effort": effort})).json()
    assert told["choices"][0]["message"]["reasoning_content"]


async def test_who_wants_no_thinking_gets_none(thinker: Client) -> None:
    told = (await thinker.post("/v1/chat/completions", CHAT | {"reasoning_effort": "none"})).json()
    assert "reasoning_content" not in told["choices"][0]["message"]
    assert told["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    told = (await thinker.post("/v1/responses", RESPONSE | {"reasoning": {"effort": "none"}})).json()
    assert [item["type"] for item in told["output"]] == ["message"]


async def test_tokens_that_run_out_inside_of_a_thought_leave_no_answer(thinker: Client) -> None:
    told = (await thinker.post("/v1/chat/completions", CHAT | {"max_completion_tokens": 12})).json()
    (choice,) = told["choices"]
    assert (choice["finish_reason"], choice["message"]["content"] or "") == ("length", "")
    assert choice["message"]["reasoning_content"]
