"""`Idempotency-Key` between a real client and scripted services: done once, billed once."""

import asyncio

import pytest

from capstan.billing.v1 import billing_pb2
from tests.integration.gateway.client import Client, error, eventually, leave
from tests.integration.gateway.scripted import MODEL, Peers

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello"}]}
KEYED = {"idempotency-key": "order-7"}
CHAT = "/v1/chat/completions"
INVALID = "invalid_request_error"


async def test_a_request_with_a_key_is_done_and_billed_once(client: Client, scripted: Peers) -> None:
    first = await client.post(CHAT, ASK, headers=KEYED)
    second = await client.post(CHAT, ASK, headers=KEYED)
    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert second.headers["openai-organization"] == "org-1"
    assert "x-ratelimit-remaining-requests" not in second.headers
    await eventually(lambda: scripted.billing.events)
    assert set(scripted.billing.events) == {first.headers["x-request-id"]}
    assert set(scripted.ratelimit.reserved) == {first.headers["x-request-id"]}
    assert len(scripted.inference.started) == 1


async def test_requests_at_the_same_time_are_one(client: Client, scripted: Peers) -> None:
    answers = await asyncio.gather(*(client.post(CHAT, ASK, headers=KEYED) for _ in range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len(scripted.inference.started) == 1


async def test_a_client_that_left_and_comes_back_pays_once(client: Client, scripted: Peers) -> None:
    scripted.inference.after = "wait"
    await leave(client.post(CHAT, ASK, headers=KEYED), once=lambda: scripted.inference.started)
    assert len(scripted.inference.started) == 1
    again = asyncio.ensure_future(client.post(CHAT, ASK, headers=KEYED))
    scripted.inference.go_on.set()
    answer = await again
    assert (answer.status, answer.headers["idempotent-replayed"]) == (200, "true")
    await eventually(lambda: scripted.billing.events)
    (event,) = scripted.billing.events.values()
    assert event.outcome == billing_pb2.OUTCOME_OK
    assert len(scripted.inference.started) == 1
    assert not scripted.inference.aborted.is_set()


async def test_a_key_with_another_body_or_endpoint_is_refused(client: Client, scripted: Peers) -> None:
    await client.post(CHAT, ASK, headers=KEYED)
    other = await client.post(CHAT, ASK | {"seed": 1}, headers=KEYED)
    assert error(other) == (400, INVALID, None, "idempotency_key_reused")
    elsewhere = await client.post("/v1/moderations", {"input": "x"}, headers=KEYED)
    assert error(elsewhere) == (400, INVALID, None, "idempotency_key_reused")
    assert len(scripted.inference.started) == 1


async def test_a_request_that_failed_may_be_made_again(client: Client, scripted: Peers) -> None:
    scripted.inference.before = scripted.spare.before = "fail"
    assert (await client.post(CHAT, ASK, headers=KEYED)).status == 500
    scripted.inference.before = scripted.spare.before = ""
    answer = await client.post(CHAT, ASK, headers=KEYED)
    assert answer.status == 200
    assert "idempotent-replayed" not in answer.headers


async def test_a_refusal_by_the_limits_frees_the_key(client: Client, scripted: Peers) -> None:
    scripted.ratelimit.refuse = True
    assert (await client.post(CHAT, ASK, headers=KEYED)).status == 429
    scripted.ratelimit.refuse = False
    assert (await client.post(CHAT, ASK, headers=KEYED)).status == 200


async def test_a_stream_runs_once(client: Client, scripted: Peers) -> None:
    streamed = ASK | {"stream": True}
    assert (await client.post(CHAT, streamed, headers=KEYED)).body.endswith(b"data: [DONE]\n\n")
    again = await client.post(CHAT, streamed, headers=KEYED)
    assert error(again) == (409, INVALID, None, "idempotency_key_used")
    assert again.headers["x-should-retry"] == "false"
    assert len(scripted.inference.started) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "schlüssel"])
async def test_a_key_that_is_none_is_refused(client: Client, key: str) -> None:
    answer = await client.post(CHAT, ASK, headers={"idempotency-key": key})
    assert error(answer) == (400, INVALID, None, "invalid_idempotency_key")


async def test_embeddings_and_verdicts_are_kept_too(client: Client) -> None:
    for path, body in (("/v1/embeddings", {"model": "vectors", "input": "a"}), ("/v1/moderations", {"input": "a"})):
        headers = {"idempotency-key": path}
        first, second = [await client.post(path, body, headers=headers) for _ in range(2)]
        assert first.body == second.body
        assert second.headers["idempotent-replayed"] == "true"
