"""The gateway between a real HTTP client and scripted services: what clients see, and what the services are told."""

import asyncio
import json

import pytest

from capstan.auth.v1 import auth_pb2
from capstan.billing.v1 import billing_pb2
from capstan.router.v1 import router_pb2
from chassis.clock import ManualClock
from chassis.testing import running
from services.gateway.app import build
from services.gateway.estimate import prompt_tokens
from tests.integration.gateway.client import Client, error, eventually, leave
from tests.integration.gateway.scripted import KEY, MODEL, STRANGER, Peers, settings

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello"}]}


async def test_a_whole_answer_has_openais_shape_and_headers(client: Client) -> None:
    answer = await client.post("/v1/chat/completions", ASK)
    assert answer.status == 200
    body = answer.json()
    assert body["choices"][0]["message"]["content"] == "Hello there!"
    assert body["usage"]["total_tokens"] == 10
    assert body["model"] == MODEL
    assert body["system_fingerprint"] == "fp_demo"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    assert int(answer.headers["openai-processing-ms"]) >= 0
    assert answer.headers["openai-organization"] == "org-1"
    assert answer.headers["openai-project"] == "proj_1"
    assert answer.headers["x-ratelimit-limit-requests"] == "100"
    assert answer.headers["x-ratelimit-remaining-requests"] == "99"
    assert answer.headers["x-ratelimit-reset-requests"] == "600ms"


async def test_a_stream_is_events_and_ends_with_done(client: Client) -> None:
    answer = await client.post(
        "/v1/chat/completions", ASK | {"stream": True, "stream_options": {"include_usage": True}}
    )
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "content-length" not in answer.headers
    frames = answer.body.decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks[:-1]) == "Hello there!"
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert answer.headers["x-ratelimit-limit-tokens"] == "10000"


async def test_what_was_used_is_billed_once_and_settled(client: Client, scripted: Peers) -> None:
    answer = await client.post("/v1/chat/completions", ASK)
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: request_id in scripted.billing.events and request_id in scripted.ratelimit.settled)
    event = scripted.billing.events[request_id]
    assert (event.usage.prompt_tokens, event.usage.completion_tokens) == (7, 3)
    assert event.outcome == billing_pb2.OUTCOME_OK
    assert (event.organization_id, event.project_id, event.key_id, event.owner_id) == (
        "org-1",
        "proj_1",
        "key_1",
        "user-1",
    )
    assert scripted.ratelimit.settled[request_id] == 10
    await eventually(lambda: scripted.router.released.get(request_id) == [router_pb2.REPLICA_OUTCOME_OK])


async def test_choices_are_numbered(client: Client) -> None:
    body = (await client.post("/v1/chat/completions", ASK | {"n": 3})).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert all(choice["message"]["content"] == "Hello there!" for choice in body["choices"])


async def test_an_alias_serves_its_model(client: Client) -> None:
    assert (await client.post("/v1/chat/completions", ASK | {"model": "gpt-4o"})).json()["model"] == MODEL


async def test_legacy_prompts_are_numbered_through(client: Client) -> None:
    body = (await client.post("/v1/completions", {"model": MODEL, "prompt": ["a", "b"], "n": 2})).json()
    assert body["object"] == "text_completion"
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert body["usage"]["prompt_tokens"] == 14


async def test_embeddings_come_as_numbers_or_as_base64(client: Client) -> None:
    body = (await client.post("/v1/embeddings", {"model": "vectors", "input": ["a", "b"]})).json()
    assert [item["embedding"] for item in body["data"]] == [[1.0, 0.0], [1.0, 0.0]]
    assert body["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    packed = await client.post("/v1/embeddings", {"model": "vectors", "input": "a", "encoding_format": "base64"})
    assert packed.json()["data"][0]["embedding"] == "AACAPwAAAAA="


async def test_models_are_listed_and_found(client: Client) -> None:
    listed = (await client.get("/v1/models")).json()
    assert {model["id"] for model in listed["data"]} == {MODEL, "vectors", "gpt-4o"}
    assert (await client.get(f"/v1/models/{MODEL}")).json()["object"] == "model"
    missing = await client.get("/v1/models/nothing%2Fhere")
    assert missing.status == 404
    assert missing.json()["error"]["message"] == "The model 'nothing/here' does not exist"


INVALID = "invalid_request_error"


async def test_without_a_key_nothing_is_served(client: Client) -> None:
    answer = await client.post("/v1/chat/completions", ASK, key="")
    assert error(answer) == (401, INVALID, None, None)


@pytest.mark.parametrize("key", [STRANGER, "sk-wrong"])
async def test_a_wrong_key_is_401_and_not_shown_whole(client: Client, key: str) -> None:
    answer = await client.post("/v1/chat/completions", ASK, key=key)
    assert error(answer) == (401, INVALID, None, "invalid_api_key")
    assert STRANGER not in answer.body.decode()


@pytest.mark.parametrize(
    ("header", "code"),
    [("OpenAI-Organization", "mismatched_organization"), ("OpenAI-Project", "mismatched_project")],
)
async def test_another_tenants_header_is_refused(client: Client, header: str, code: str) -> None:
    answer = await client.post("/v1/chat/completions", ASK, headers={header: "org-other"})
    assert error(answer) == (401, INVALID, None, code)


async def test_an_unknown_model_is_404_and_charges_nothing(client: Client, scripted: Peers) -> None:
    answer = await client.post("/v1/chat/completions", ASK | {"model": "gpt-99"})
    assert error(answer) == (404, INVALID, None, "model_not_found")
    assert scripted.ratelimit.reserved == {}


async def test_an_embedding_model_is_no_chat_model(client: Client) -> None:
    answer = await client.post("/v1/chat/completions", ASK | {"model": "vectors"})
    assert error(answer) == (404, INVALID, "model", None)


async def test_a_wrong_parameter_names_itself(client: Client) -> None:
    answer = await client.post("/v1/chat/completions", ASK | {"temperature": 3})
    assert error(answer)[:3] == (400, INVALID, "temperature")
    answer = await client.post("/v1/chat/completions", ASK | {"flavour": 1})
    assert answer.status == 400
    assert "flavour" in answer.json()["error"]["message"]


async def test_a_refusal_by_the_engine_is_a_400_that_is_not_billed(client: Client, scripted: Peers) -> None:
    scripted.inference.before = "refuse"
    answer = await client.post("/v1/chat/completions", ASK)
    assert error(answer) == (400, INVALID, "messages", "context_length_exceeded")
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: scripted.ratelimit.settled.get(request_id) == 0)
    assert request_id not in scripted.billing.events


async def test_a_rate_limit_is_a_429_with_retry_after_and_the_meters(client: Client, scripted: Peers) -> None:
    scripted.ratelimit.refuse = True
    answer = await client.post("/v1/chat/completions", ASK)
    assert error(answer) == (429, "requests", None, "rate_limit_exceeded")
    assert int(answer.headers["retry-after"]) >= 1
    assert int(answer.headers["retry-after-ms"]) >= 600
    assert answer.headers["x-ratelimit-limit-requests"] == "100"
    assert "Limit 100, Used 100, Requested 1" in answer.json()["error"]["message"]
    assert scripted.inference.started == []


async def test_a_replica_that_fails_before_its_first_token_is_replaced_once(client: Client, scripted: Peers) -> None:
    scripted.inference.before = "break"
    answer = await client.post("/v1/chat/completions", ASK)
    assert answer.status == 200
    assert len(scripted.spare.started) == 1
    outcomes = [router_pb2.REPLICA_OUTCOME_FAILED, router_pb2.REPLICA_OUTCOME_OK]
    await eventually(lambda: scripted.router.released.get(answer.headers["x-request-id"]) == outcomes)
    await eventually(lambda: len(scripted.billing.events) == 1)


async def test_when_every_replica_fails_it_is_a_500_that_charges_nothing(client: Client, scripted: Peers) -> None:
    scripted.inference.before = scripted.spare.before = "fail"
    answer = await client.post("/v1/chat/completions", ASK)
    assert error(answer) == (500, "server_error", None, "engine_error")
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: request_id in scripted.billing.events)
    assert scripted.billing.events[request_id].outcome == billing_pb2.OUTCOME_SERVER_ERROR
    assert scripted.ratelimit.settled[request_id] == 0


@pytest.mark.parametrize("script", ["fail", "break"])
async def test_a_failure_in_mid_stream_that_nobody_can_take_up_is_an_error_event_without_done(
    client: Client, scripted: Peers, script: str
) -> None:
    scripted.inference.after = script
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    answer = await client.post("/v1/chat/completions", ASK | {"stream": True, "tools": [tool]})
    assert answer.status == 200
    frames = answer.body.decode().strip().split("\n\n")
    assert "Hello" in frames[1]
    assert set(json.loads(frames[-1].removeprefix("data: "))["error"]) == {"message", "type", "param", "code"}
    assert "[DONE]" not in answer.body.decode()
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: request_id in scripted.billing.events)
    assert scripted.billing.events[request_id].outcome == billing_pb2.OUTCOME_ENGINE_ERROR
    assert scripted.spare.started == []


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_engine_and_pays_for_what_was_made(
    client: Client, scripted: Peers, stream: bool
) -> None:
    scripted.inference.after = "hang"
    heard = bytearray()
    asking = client.post("/v1/chat/completions", ASK | {"stream": stream}, heard=heard)
    await leave(asking, once=lambda: b"Hello" in heard if stream else scripted.inference.started)
    await eventually(scripted.inference.aborted.is_set)
    await eventually(lambda: len(scripted.billing.events) == 1)
    (event,) = scripted.billing.events.values()
    assert event.outcome == billing_pb2.OUTCOME_CLIENT_CLOSED
    assert not event.usage_estimated
    assert event.usage.prompt_tokens == 7
    assert scripted.inference.running == 0


async def test_a_required_policy_refuses_flagged_text_and_charges_nothing(client: Client, scripted: Peers) -> None:
    scripted.auth.principal.moderation_policy = auth_pb2.MODERATION_POLICY_REQUIRED
    bad = ASK | {"messages": [{"role": "user", "content": "something bad"}]}
    answer = await client.post("/v1/chat/completions", bad)
    assert answer.status == 400
    assert answer.json()["error"]["code"] == "content_policy_violation"
    assert scripted.inference.started == []
    assert (await client.post("/v1/chat/completions", ASK)).status == 200


async def test_an_advisory_policy_serves_flagged_text_and_survives_without_moderation(
    client: Client, scripted: Peers
) -> None:
    scripted.auth.principal.moderation_policy = auth_pb2.MODERATION_POLICY_ADVISORY
    bad = ASK | {"messages": [{"role": "user", "content": "something bad"}]}
    assert (await client.post("/v1/chat/completions", bad)).status == 200
    await scripted.kill("moderation")
    assert (await client.post("/v1/chat/completions", bad)).status == 200


@pytest.mark.parametrize("name", ["router", "moderation", "auth"])
async def test_a_service_that_is_away_is_a_503_with_retry_after_and_comes_back_by_itself(
    client: Client, scripted: Peers, name: str
) -> None:
    scripted.auth.principal.moderation_policy = auth_pb2.MODERATION_POLICY_REQUIRED
    await scripted.kill(name)
    answer = await client.post("/v1/chat/completions", ASK)
    assert answer.status == 503
    assert answer.json()["error"]["code"] == f"{name}_unavailable"
    assert int(answer.headers["retry-after"]) >= 1
    await scripted.start(name)
    async with asyncio.timeout(10):
        while (await client.post("/v1/chat/completions", ASK)).status != 200:
            await asyncio.sleep(0.05)


async def test_without_ratelimit_the_gateway_goes_by_its_own_meters_and_tells_of_them(
    client: Client, scripted: Peers
) -> None:
    scripted.auth.principal.rate_limits[0].requests_per_minute = 2
    await scripted.kill("ratelimit")
    answers = [await client.post("/v1/chat/completions", ASK) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert int(answers[2].headers["retry-after-ms"]) <= 33_000
    await scripted.start("ratelimit")
    # What was let in is a debt now.
    await eventually(lambda: any(name.startswith("debt_") for name in scripted.ratelimit.reserved))
    async with asyncio.timeout(10):
        while (await client.post("/v1/chat/completions", ASK)).status != 200:
            await asyncio.sleep(0.05)
    debt = next(made for name, made in scripted.ratelimit.reserved.items() if name.startswith("debt_"))
    assert {charge.dimension: charge.cost for charge in debt}[1] in (1, 2)


async def test_every_limit_of_the_principal_is_charged_as_it_says(client: Client, scripted: Peers) -> None:
    [limit] = scripted.auth.principal.rate_limits
    limit.requests_per_day, limit.tokens_per_day, limit.concurrent_requests = 1000, 100_000, 9
    limit.burst_percent = 50
    scripted.auth.principal.rate_limits.add(
        scope=auth_pb2.LIMIT_SCOPE_KEY, model=MODEL, requests_per_minute=7, shadow=True, count_rejected=False
    )
    answer = await client.post("/v1/chat/completions", ASK)
    [charges] = scripted.ratelimit.reserved.values()
    assert [(one.dimension, one.subject_id, one.limit, one.burst_percent, one.shadow) for one in charges] == [
        (1, "proj_1", 100, 50, False),
        (2, "proj_1", 10_000, 50, False),
        (3, "proj_1", 1000, 50, False),
        (4, "proj_1", 100_000, 50, False),
        (5, "proj_1", 9, 50, False),
        (1, "key_1", 7, 100, True),
    ]
    assert [one.count_rejected for one in charges] == [True, *[False] * 5]
    assert answer.headers["x-ratelimit-limit-requests"] == "100"  # and not the shadow's 7


async def test_a_long_answer_is_renewed_with_what_it_has_used(scripted: Peers) -> None:
    clock = ManualClock()
    scripted.inference.after = "wait"
    async with running("gateway", build, settings(scripted), clock=clock):
        client = Client(scripted.folder / "http.sock", KEY)
        asking = asyncio.create_task(client.post("/v1/chat/completions", ASK))
        await eventually(lambda: scripted.inference.started)
        [request_id] = scripted.ratelimit.reserved
        async with asyncio.timeout(10):
            while scripted.ratelimit.renewed.get(request_id, 0) < prompt_tokens(len("Say hello"), 1) + 3:
                await clock.advance(10)
                await asyncio.sleep(0.01)
        scripted.inference.go_on.set()
        assert (await asking).status == 200


async def test_a_limit_that_must_not_go_on_without_ratelimit_is_a_503(client: Client, scripted: Peers) -> None:
    scripted.auth.principal.rate_limits[0].failure_mode = auth_pb2.LIMIT_FAILURE_MODE_CLOSED
    await scripted.kill("ratelimit")
    answer = await client.post("/v1/chat/completions", ASK)
    assert answer.status == 503
    assert answer.json()["error"]["code"] == "ratelimit_unavailable"
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_known_key_works_while_auth_is_away(client: Client, scripted: Peers) -> None:
    assert (await client.post("/v1/chat/completions", ASK)).status == 200
    await scripted.kill("auth")
    assert (await client.post("/v1/chat/completions", ASK)).status == 200
    assert (await client.post("/v1/chat/completions", ASK, key=STRANGER)).status == 503


async def test_billing_away_disturbs_nobody_and_loses_nothing(client: Client, scripted: Peers) -> None:
    await scripted.kill("billing")
    ids = {(await client.post("/v1/chat/completions", ASK)).headers["x-request-id"] for _ in range(3)}
    await scripted.start("billing")
    await eventually(lambda: set(scripted.billing.events) == ids)


async def test_a_gateway_that_restarts_ships_what_it_could_not(scripted: Peers) -> None:
    await scripted.kill("billing")
    async with running("gateway", build, settings(scripted)):
        client = Client(scripted.folder / "http.sock", KEY)
        request_id = (await client.post("/v1/chat/completions", ASK)).headers["x-request-id"]
    await scripted.start("billing")
    async with running("gateway", build, settings(scripted)):
        await eventually(lambda: set(scripted.billing.events) == {request_id})


async def test_a_thousand_first_requests_with_one_key_are_at_most_two_lookups(client: Client, scripted: Peers) -> None:
    answers = await asyncio.gather(*(client.post("/v1/chat/completions", ASK) for _ in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert len(scripted.auth.lookups) <= 2


async def test_a_revoked_key_is_refused_as_soon_as_auth_says_so(client: Client, scripted: Peers) -> None:
    assert (await client.post("/v1/chat/completions", ASK)).status == 200
    lookups = len(scripted.auth.lookups)
    await scripted.auth.changes.put(auth_pb2.WatchResponse(key_ids=["key_1"]))
    async with asyncio.timeout(5):
        while len(scripted.auth.lookups) == lookups:
            await client.post("/v1/chat/completions", ASK)


async def test_an_unknown_url_and_a_wrong_method_are_answered_in_the_envelope(client: Client) -> None:
    assert error(await client.get("/v1/nothing"))[:2] == (404, INVALID)
    answer = await client.get("/v1/completions")
    assert error(answer)[:2] == (405, INVALID)
    assert answer.headers["allow"] == "POST"


async def test_a_base_model_cannot_be_deleted(client: Client) -> None:
    answer = await client.request("DELETE", f"/v1/models/{MODEL}", b"")
    assert error(answer) == (403, INVALID, None, None)
    assert "base model" in answer.json()["error"]["message"]
    missing = await client.request("DELETE", "/v1/models/nothing", b"")
    assert error(missing) == (404, INVALID, "model", "model_not_found")
    assert error(await client.request("DELETE", f"/v1/models/{MODEL}", b"", key=""))[0] == 401


async def test_head_answers_as_get_without_a_body(client: Client) -> None:
    head = await client.request("HEAD", f"/v1/models/{MODEL}", b"")
    whole = await client.get(f"/v1/models/{MODEL}")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert (await client.request("HEAD", "/v1/completions", b"")).status == 405


async def test_options_names_the_methods_without_a_key(client: Client) -> None:
    for path, methods in ((f"/v1/models/{MODEL}", "DELETE, GET, HEAD"), ("/v1/completions", "POST")):
        answer = await client.request("OPTIONS", path, b"", key="")
        assert (answer.status, answer.headers["allow"], answer.body) == (204, methods, b"")
    assert (await client.request("OPTIONS", "/v1/nothing", b"")).status == 404


@pytest.mark.parametrize("header", ["x-stainless-read-timeout", "x-stainless-timeout", "openai-beta", "x-deadline"])
async def test_what_clients_say_about_themselves_is_accepted(client: Client, header: str) -> None:
    assert (await client.post("/v1/chat/completions", ASK, headers={header: "600.5"})).status == 200
