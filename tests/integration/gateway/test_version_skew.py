"""A release beside the next one: what only the newer side knows is passed over, kept, or taken for the safest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.message import Message

from capstan.auth.v1 import auth_pb2
from capstan.errors.v1 import errors_pb2
from capstan.inference.v1 import inference_pb2
from capstan.moderation.v1 import moderation_pb2
from capstan.router.v1 import router_pb2
from chassis.testing import running
from services.gateway.app import build
from tests.integration.gateway.client import Client, error, eventually
from tests.integration.gateway.scripted import KEY, Peers, settings

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
UNKNOWN = 99
"""A number that no enum of ours has."""


def from_the_future(message: Message) -> None:
    """Give a message, and all messages in it, a field (of number 4,000) that nobody here knows."""
    for field, value in list(message.ListFields()):
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for inner in value if not isinstance(value, Message) else [value]:
            from_the_future(inner)
    message.MergeFromString(b"\x82\xfa\x01\x03new")


class Newer:
    """Wraps a scripted service: all that it answers has fields from the future."""

    def __init__(self, servicer: object, *methods: str) -> None:
        for name in methods:
            setattr(servicer, name, self._answering(getattr(servicer, name)))

    def _answering(self, method: Any) -> Any:
        async def answer(request: Any, context: Any) -> Any:
            response = await method(request, context)
            from_the_future(response)
            return response

        return answer


async def restarted(scripted: Peers, *names: str) -> None:
    """Let services answer by the methods that they have now; before a gateway has called them."""
    for name in names:
        await scripted.kill(name)
        await scripted.start(name)


@asynccontextmanager
async def gateway(scripted: Peers) -> AsyncIterator[Client]:
    async with running("gateway", build, settings(scripted)):
        yield Client(scripted.folder / "http.sock", KEY)


async def test_peers_whose_answers_have_fields_that_nobody_knows_are_understood(scripted: Peers) -> None:
    Newer(scripted.auth, "Authenticate")
    Newer(scripted.ratelimit, "Reserve", "Settle")
    Newer(scripted.router, "Place", "Release", "ListModels")
    Newer(scripted.billing, "Ingest")
    await restarted(scripted, "auth", "ratelimit", "router", "billing")
    async with gateway(scripted) as client:
        answers = [await client.post(CHAT, ASK | more) for more in ({}, {"stream": True})]
        assert [answer.status for answer in answers] == [200, 200]
        asked = {answer.headers["x-request-id"] for answer in answers}
        await eventually(lambda: asked <= scripted.ratelimit.settled.keys())
        await eventually(lambda: asked <= scripted.billing.events.keys())
        await eventually(lambda: asked <= scripted.router.released.keys())


async def test_a_limit_of_an_unknown_scope_binds_nobody_and_the_others_do(client: Client, scripted: Peers) -> None:
    scripted.auth.principal.rate_limits.add(scope=UNKNOWN, requests_per_minute=1)  # type: ignore[arg-type]
    scripted.auth.principal.rate_limits[0].failure_mode = UNKNOWN  # type: ignore[assignment]
    answer = await client.post(CHAT, ASK)
    assert (answer.status, answer.headers["x-ratelimit-limit-requests"]) == (200, "100")


async def test_an_unknown_policy_is_taken_for_the_strictest(client: Client, scripted: Peers) -> None:
    scripted.auth.principal.moderation_policy = UNKNOWN  # type: ignore[assignment]
    assert (await client.post(CHAT, ASK)).status == 200
    bad = [{"role": "user", "content": "bad"}]
    assert error(await client.post(CHAT, ASK | {"messages": bad}))[3] == "content_policy_violation"


async def test_what_is_flagged_in_an_unknown_category_is_refused_and_told_as_flagged(
    scripted: Peers,
) -> None:
    async def classify(request: Any, context: object) -> moderation_pb2.ClassifyResponse:
        known = moderation_pb2.Category.values()[1:]
        scores = [moderation_pb2.CategoryScore(category=each, score=0.1) for each in known]
        scores.append(moderation_pb2.CategoryScore(category=UNKNOWN, score=0.9, flagged=True))  # type: ignore[arg-type]
        verdict = moderation_pb2.Verdict(flagged=True, scores=scores)
        return moderation_pb2.ClassifyResponse(verdicts=[verdict] * len(request.items), classifier="newer")

    scripted.moderation.Classify = classify  # type: ignore[method-assign]
    await restarted(scripted, "moderation")
    scripted.auth.principal.moderation_policy = auth_pb2.MODERATION_POLICY_REQUIRED
    async with gateway(scripted) as client:
        verdict = (await client.post("/v1/moderations", {"input": "hello"})).json()["results"][0]
        refused = await client.post(CHAT, ASK)
    assert (verdict["flagged"], len(verdict["categories"]), any(verdict["categories"].values())) == (True, 13, False)
    assert error(refused)[3] == "content_policy_violation"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_of_an_unknown_kind_and_an_unknown_finish_do_no_harm(scripted: Peers, stream: bool) -> None:
    scripted.inference.ending = UNKNOWN
    listing = await scripted.router.ListModels(router_pb2.ListModelsRequest(), None)
    listing.models.add(name="newer", served_name="newer", kind=UNKNOWN)  # type: ignore[arg-type]

    async def models(request: object, context: object) -> router_pb2.ListModelsResponse:
        return listing

    scripted.router.ListModels = models  # type: ignore[method-assign]
    await restarted(scripted, "router")
    async with gateway(scripted) as client:
        answer = await client.post(CHAT, ASK | {"stream": stream})
    assert answer.status == 200
    if stream:
        chunks = [json.loads(line[6:]) for line in answer.body.decode().split("\n") if line.startswith("data: {")]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    else:
        assert answer.json()["choices"][0]["finish_reason"] == "stop"


async def test_a_failure_for_an_unknown_reason_is_a_500_and_a_second_attempt(client: Client, scripted: Peers) -> None:
    failure = errors_pb2.Failure(reason=4000)  # type: ignore[arg-type]

    def fail(start: Any, frames: Any) -> None:
        scripted.inference._say(frames, inference_pb2.Delta(slot=start.slot, failure=failure))

    scripted.inference._run = fail  # type: ignore[method-assign]
    assert (await client.post(CHAT, ASK)).status == 200
    assert len(scripted.spare.started) == 1
    scripted.spare._run = fail  # type: ignore[method-assign]
    assert error(await client.post(CHAT, ASK))[0] == 500
