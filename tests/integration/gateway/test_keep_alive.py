"""Streams that are slow: the client hears that somebody is there, and how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from capstan.billing.v1 import billing_pb2
from chassis.testing import running
from services.gateway.app import build
from tests.integration.gateway.client import Client, error, eventually, leave
from tests.integration.gateway.scripted import KEY, MODEL, Peers, settings

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello"}], "stream": True}
CHAT = "/v1/chat/completions"
COMMENT = ": keep-alive"


@pytest.fixture
async def impatient(scripted: Peers) -> AsyncIterator[Client]:
    """A gateway that speaks up after a moment instead of ten seconds."""
    async with running("gateway", build, settings(scripted, keep_alive_s=0.05, first_token_timeout_s=0.2)):
        yield Client(scripted.folder / "http.sock", KEY)


@pytest.fixture
async def patient(scripted: Peers) -> AsyncIterator[Client]:
    """The same, with replicas that may take their time."""
    async with running("gateway", build, settings(scripted, keep_alive_s=0.05)):
        yield Client(scripted.folder / "http.sock", KEY)


async def slow(client: Client, scripted: Peers, body: dict, path: str = CHAT) -> list[str]:
    """The frames of a stream whose replica speaks, or goes on, only after two comments."""
    heard = bytearray()
    asking = asyncio.ensure_future(client.post(path, body, heard=heard))
    said_first = b"" if scripted.inference.before else b"Hello"
    await eventually(lambda: said_first in heard)
    await eventually(lambda: heard[heard.find(said_first) :].count(COMMENT.encode()) >= 2)
    scripted.inference.go_on.set()
    answer = await asking
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    return answer.body.decode().split("\n\n")


@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_silent_stream_is_kept_alive_by_comments(patient: Client, scripted: Peers, place: str) -> None:
    setattr(scripted.inference, place, "wait")
    frames = await slow(patient, scripted, ASK)
    assert frames[-2:] == ["data: [DONE]", ""]
    head = next(index for index, frame in enumerate(frames) if frame != COMMENT)
    assert (frames[:head] if place == "before" else frames[head:]).count(COMMENT) >= 2
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2] if frame != COMMENT]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "Hello there!"
    await eventually(lambda: scripted.billing.events)
    (event,) = scripted.billing.events.values()
    assert (event.outcome, event.usage.completion_tokens) == (billing_pb2.OUTCOME_OK, 3)


async def test_legacy_completions_are_kept_alive_too(patient: Client, scripted: Peers) -> None:
    scripted.inference.before = "wait"
    frames = await slow(patient, scripted, {"model": MODEL, "prompt": "x", "stream": True}, "/v1/completions")
    assert frames[0] == COMMENT
    assert frames[-2:] == ["data: [DONE]", ""]


async def test_a_quick_stream_has_no_comments(client: Client) -> None:
    assert b"keep-alive" not in (await client.post(CHAT, ASK)).body


async def test_after_the_head_has_left_a_failure_is_an_event(impatient: Client, scripted: Peers) -> None:
    scripted.inference.before = scripted.spare.before = "wait"
    answer = await impatient.post(CHAT, ASK)
    assert answer.status == 200
    frames = answer.body.decode().split("\n\n")
    assert frames[0] == COMMENT
    told = json.loads(frames[-2].removeprefix("data: "))["error"]
    assert (told["type"], told["code"], told["param"]) == ("server_error", "timeout", None)
    assert b"[DONE]" not in answer.body
    await eventually(lambda: scripted.billing.events)
    (event,) = scripted.billing.events.values()
    assert event.outcome == billing_pb2.OUTCOME_SERVER_ERROR


async def test_before_it_a_failure_is_a_status(client: Client, scripted: Peers) -> None:
    scripted.inference.before = scripted.spare.before = "fail"
    assert error(await client.post(CHAT, ASK))[0] == 500


async def test_another_replica_is_tried_behind_the_head(impatient: Client, scripted: Peers) -> None:
    scripted.inference.before = "wait"
    answer = await impatient.post(CHAT, ASK)
    assert answer.body.decode().startswith(COMMENT)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert len(scripted.spare.started) == 1


async def test_a_client_that_leaves_a_silent_stream_stops_its_work(patient: Client, scripted: Peers) -> None:
    scripted.inference.before = "wait"
    await leave(patient.post(CHAT, ASK), once=lambda: scripted.inference.started)
    await eventually(scripted.inference.aborted.is_set)
    await eventually(lambda: scripted.billing.events)
    (event,) = scripted.billing.events.values()
    assert event.outcome == billing_pb2.OUTCOME_CLIENT_CLOSED
    await eventually(lambda: len(scripted.router.released) == 1)


async def test_a_response_is_kept_alive_before_its_first_event_too(patient: Client, scripted: Peers) -> None:
    scripted.inference.before = "wait"
    body = {"model": MODEL, "input": "Say hello", "stream": True, "store": False}
    frames = await slow(patient, scripted, body, "/v1/responses")
    assert frames[0] == COMMENT
    events = [frame.split("\n")[0] for frame in frames if frame.startswith("event: ")]
    assert (events[0], events[-1]) == ("event: response.created", "event: response.completed")


async def test_a_response_that_fails_after_its_head_says_so_in_an_event(impatient: Client, scripted: Peers) -> None:
    scripted.inference.before = scripted.spare.before = "wait"
    body = {"model": MODEL, "input": "Say hello", "stream": True, "store": False}
    answer = await impatient.post("/v1/responses", body)
    assert answer.status == 200
    events = [frame.split("\n")[0] for frame in answer.body.decode().split("\n\n") if frame.startswith("event: ")]
    assert events == ["event: error", "event: response.failed"]
