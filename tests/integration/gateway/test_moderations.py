"""`/v1/moderations` between a real client and scripted services."""

import asyncio
from typing import Any

import pytest

from capstan.auth.v1 import auth_pb2
from capstan.billing.v1 import billing_pb2
from capstan.ratelimit.v1 import ratelimit_pb2
from services.gateway.peers.moderation import CATEGORIES
from services.gateway.schema import moderation_answers
from services.gateway.schema.moderation_answers import Moderation
from services.gateway.schema.moderations import MAX_BYTES, MAX_INPUT_BYTES
from tests.integration.gateway.client import Client, error, eventually
from tests.integration.gateway.scripted import Peers

INVALID = "invalid_request_error"
PATH = "/v1/moderations"


async def test_each_input_gets_a_verdict_in_all_categories(client: Client) -> None:
    answer = await client.post(PATH, {"input": ["good", "something bad"], "model": "omni-moderation-latest"})
    assert answer.status == 200
    body = answer.json()
    Moderation.model_validate(body)
    assert body["id"] == "modr-" + answer.headers["x-request-id"].removeprefix("req_")
    assert body["model"] == "scripted"
    assert [result["flagged"] for result in body["results"]] == [False, True]
    assert [name for name, flagged in body["results"][1]["categories"].items() if flagged] == ["hate"]
    assert answer.headers["x-ratelimit-remaining-requests"] == "99"
    assert answer.headers["openai-organization"] == "org-1"


def test_the_answers_categories_are_the_wires() -> None:
    assert tuple(CATEGORIES.values()) == moderation_answers.CATEGORIES


async def test_one_text_and_parts_give_one_verdict(client: Client) -> None:
    parts = [{"type": "text", "text": "good"}, {"type": "text", "text": "bad"}]
    for given, flagged in (("bad", True), (parts, True), (parts[:1], False), ("", False)):
        (result,) = (await client.post(PATH, {"input": given})).json()["results"]
        assert result["flagged"] is flagged


@pytest.mark.parametrize("model", ["text-moderation-latest", "text-moderation-007", "omni-moderation-2024-09-26", None])
async def test_openais_names_are_served_by_the_one_classifier(client: Client, model: str | None) -> None:
    answer = await client.post(PATH, {"input": "x", "model": model})
    assert (answer.status, answer.json()["model"]) == (200, "scripted")


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        ({}, 400, "input", "missing_required_parameter"),
        ({"input": []}, 400, "input", "empty_array"),
        ({"input": 7}, 400, "input", "invalid_type"),
        ({"input": ["a", 7]}, 400, "input[1]", "invalid_type"),
        ({"input": "x" * (MAX_INPUT_BYTES + 1)}, 400, "input", "invalid_value"),
        ({"input": ["x", "é" * MAX_INPUT_BYTES]}, 400, "input[1]", "invalid_value"),
        ({"input": ["x" * MAX_INPUT_BYTES] * (MAX_BYTES // MAX_INPUT_BYTES + 1)}, 400, "input", "invalid_value"),
        ({"input": ["x"] * 2049}, 400, "input", "array_above_max_length"),
        ({"input": "x", "user": "me"}, 400, "user", "unknown_parameter"),
        ({"input": "x", "model": 3}, 400, "model", "invalid_type"),
        ({"input": "x", "model": "gpt-4o"}, 404, None, "model_not_found"),
        (
            {"input": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            400,
            "input[1].type",
            "unsupported_value",
        ),
        ({"input": [{"type": "sound"}]}, 400, "input[0].type", "invalid_value"),
        ({"input": [{"type": "text"}]}, 400, "input[0].text", "missing_required_parameter"),
    ],
)
async def test_what_cannot_be_judged_names_itself(
    client: Client, body: dict[str, Any], status: int, param: str | None, code: str
) -> None:
    assert error(await client.post(PATH, body)) == (status, INVALID, param, code)


async def test_a_verdict_counts_as_a_request_and_costs_nothing(client: Client, scripted: Peers) -> None:
    free = (await client.post(PATH, {"input": "x" * 1000})).headers["x-request-id"]
    costs = {charge.dimension: charge.cost for charge in scripted.ratelimit.reserved[free]}
    assert costs == {
        ratelimit_pb2.DIMENSION_REQUESTS_PER_MINUTE: 1,
        ratelimit_pb2.DIMENSION_TOKENS_PER_MINUTE: 0,
    }
    await eventually(lambda: scripted.ratelimit.settled.get(free) == 0)
    chat = {"model": "demo", "messages": [{"role": "user", "content": "x"}]}
    paid = (await client.post("/v1/chat/completions", chat)).headers["x-request-id"]
    await eventually(lambda: paid in scripted.billing.events)
    assert set(scripted.billing.events) == {free, paid}
    event = scripted.billing.events[free]
    assert (event.endpoint, event.outcome) == (billing_pb2.ENDPOINT_MODERATIONS, billing_pb2.OUTCOME_OK)
    assert (event.model, event.usage.completion_tokens) == ("scripted", 0)
    assert event.usage.prompt_tokens > 0


async def test_a_limit_of_requests_binds_verdicts_too(client: Client, scripted: Peers) -> None:
    scripted.ratelimit.refuse = True
    assert error(await client.post(PATH, {"input": "x"})) == (429, "requests", None, "rate_limit_exceeded")


async def test_the_projects_own_policy_does_not_hide_the_verdict(client: Client, scripted: Peers) -> None:
    scripted.auth.principal.moderation_policy = auth_pb2.MODERATION_POLICY_REQUIRED
    scripted.auth.principal.allowed_models.append("demo")
    assert (await client.post(PATH, {"input": "bad"})).json()["results"][0]["flagged"] is True


async def test_without_the_classifier_it_is_a_503(client: Client, scripted: Peers) -> None:
    await scripted.kill("moderation")
    assert error(await client.post(PATH, {"input": "x"}))[3] == "moderation_unavailable"
    await scripted.start("moderation")
    async with asyncio.timeout(10):
        while (await client.post(PATH, {"input": "x"})).status != 200:
            await asyncio.sleep(0.05)
