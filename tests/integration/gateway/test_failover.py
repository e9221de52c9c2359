"""What becomes of a request when its replica, its place or its router is lost."""

import asyncio
import json

import pytest

from capstan.billing.v1 import billing_pb2
from capstan.router.v1 import router_pb2
from chassis.testing import running
from services.gateway.app import build
from tests.integration.gateway.client import Answer, Client, error, eventually, leave
from tests.integration.gateway.scripted import KEY, Peers, settings

CHAT = "/v1/chat/completions"
ASK = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
EMBED = {"model": "vectors", "input": "a"}
STREAM = ASK | {"stream": True, "stream_options": {"include_usage": True}}
UNREACHABLE, FAILED, ABANDONED, OK = (
    router_pb2.REPLICA_OUTCOME_UNREACHABLE,
    router_pb2.REPLICA_OUTCOME_FAILED,
    router_pb2.REPLICA_OUTCOME_ABANDONED,
    router_pb2.REPLICA_OUTCOME_OK,
)


def text_of(answer: Answer) -> str:
    """The text of a stream that came to its end."""
    assert answer.status == 200
    events = [line[6:] for line in answer.body.decode().split("\n\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def usage_of(answer: Answer) -> dict[str, int]:
    return json.loads(answer.body.decode().split("\n\n")[-3][6:])["usage"]


@pytest.mark.parametrize("script", ["break", "fail"])
async def test_a_stream_goes_on_elsewhere_where_it_broke_off_and_is_billed_once(
    client: Client, scripted: Peers, script: str
) -> None:
    scripted.inference.after = script
    scripted.inference.words = ("Hello", " there")
    scripted.spare.words = ("Hello", " there", ", you", "!")
    answer = await client.post(CHAT, STREAM)
    assert text_of(answer) == "Hello there, you!"
    assert [start.continuation.text for start in scripted.spare.started] == ["Hello there"]
    usage = usage_of(answer)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 4)
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: request_id in scripted.billing.events)
    event = scripted.billing.events[request_id]
    assert (event.outcome, event.usage.prompt_tokens, event.usage.completion_tokens) == (billing_pb2.OUTCOME_OK, 7, 4)
    assert scripted.ratelimit.settled[request_id] == 11
    await eventually(lambda: scripted.router.released.get(request_id) == [FAILED, OK])


async def test_what_a_stopping_replica_dismisses_goes_on_elsewhere_and_blames_nobody(
    client: Client, scripted: Peers
) -> None:
    scripted.inference.after = "dismiss"
    scripted.inference.words = ("Hello", " there")
    answer = await client.post(CHAT, STREAM)
    assert text_of(answer) == "Hello there!"
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: scripted.router.released.get(request_id) == [OK, OK])


async def test_a_replica_that_was_never_reached_is_not_said_to_have_died_of_the_request(
    client: Client, scripted: Peers
) -> None:
    await scripted.kill("inference")
    answer = await client.post(CHAT, STREAM)
    assert text_of(answer) == "Hello there!"
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: scripted.router.released.get(request_id) == [UNREACHABLE, OK])


async def test_what_was_thought_cannot_be_told_elsewhere_so_the_stream_ends_with_an_error(
    client: Client, scripted: Peers
) -> None:
    scripted.inference.thought, scripted.inference.after = "Hm.", "break"
    answer = await client.post(CHAT, STREAM)
    assert b"[DONE]" not in answer.body
    assert scripted.spare.started == []


async def test_when_all_fails_and_clients_try_three_times_there_are_1_2_attempts_for_a_request(
    scripted: Peers,
) -> None:
    scripted.inference.before = scripted.spare.before = "fail"
    requests = 0

    async def insist(client: Client) -> None:
        nonlocal requests
        for _ in range(3):
            requests += 1
            assert (await client.post(CHAT, ASK)).status == 500

    async with running("gateway", build, settings(scripted, retry_least=1)):
        client = Client(scripted.folder / "http.sock", KEY)
        await asyncio.gather(*(insist(client) for _ in range(40)))
    attempts = len(scripted.inference.started) + len(scripted.spare.started)
    assert requests == 120
    assert requests < attempts <= 1.2 * requests


async def test_vectors_are_bound_by_the_same_budget(scripted: Peers) -> None:
    scripted.inference.embeds = scripted.spare.embeds = False
    async with running("gateway", build, settings(scripted, retry_least=1)):
        client = Client(scripted.folder / "http.sock", KEY)
        for _ in range(4):
            assert (await client.post("/v1/embeddings", EMBED)).status == 503
    assert len(scripted.inference.embedding) + len(scripted.spare.embedding) == 4 + 1


@pytest.mark.parametrize("more", [{}, {"stream": True, "stream_options": {"include_usage": True}}])
async def test_an_engine_that_ends_without_a_count_is_billed_by_what_was_delivered(
    client: Client, scripted: Peers, more: dict[str, object]
) -> None:
    scripted.inference.counts = False
    answer = await client.post(CHAT, ASK | more)
    usage = usage_of(answer) if more else answer.json()["usage"]
    assert usage["completion_tokens"] == 3
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: request_id in scripted.billing.events)
    event = scripted.billing.events[request_id]
    assert (event.outcome, event.usage.completion_tokens, event.usage_estimated) == (billing_pb2.OUTCOME_OK, 3, True)
    assert event.usage.prompt_tokens > 0


async def test_a_whole_answer_goes_on_elsewhere_too(client: Client, scripted: Peers) -> None:
    scripted.inference.after = "break"
    answer = await client.post(CHAT, ASK)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello there!"
    assert answer.json()["usage"]["completion_tokens"] == 3


async def test_when_the_others_fail_too_the_stream_ends_with_an_error(client: Client, scripted: Peers) -> None:
    scripted.inference.after = scripted.spare.after = "fail"
    answer = await client.post(CHAT, STREAM)
    assert b"[DONE]" not in answer.body
    assert json.loads(answer.body.decode().strip().split("\n\n")[-1][6:])["error"]["code"] == "engine_error"


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2},
        {"logprobs": True},
        {"stop": ["END"]},
        {"tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]},
        {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "JSON please"}]},
    ],
    ids=["choices", "log probabilities", "stop texts", "functions", "a format"],
)
async def test_what_cannot_be_taken_up_elsewhere_is_not(
    client: Client, scripted: Peers, more: dict[str, object]
) -> None:
    scripted.inference.after = "fail"
    answer = await client.post(CHAT, STREAM | more)
    assert b"[DONE]" not in answer.body
    assert scripted.spare.started == []


async def test_the_setting_turns_it_off(scripted: Peers) -> None:
    scripted.inference.after = "fail"
    async with running("gateway", build, settings(scripted, migrate=False)):
        answer = await Client(scripted.folder / "http.sock", KEY).post(CHAT, STREAM)
    assert b"[DONE]" not in answer.body
    assert scripted.spare.started == []


async def test_while_the_router_is_away_the_last_known_replicas_serve(client: Client, scripted: Peers) -> None:
    assert (await client.post(CHAT, ASK)).status == 200
    await scripted.kill("router")
    answers = [await client.post(CHAT, ASK) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 6
    assert len(scripted.inference.started) + len(scripted.spare.started) == 7
    scripted.inference.before = "break"
    assert {(await client.post(CHAT, ASK)).status for _ in range(4)} == {200}
    await scripted.start("router")
    async with asyncio.timeout(10):
        placed = len(scripted.router.items)
        while len(scripted.router.items) == placed:
            assert (await client.post(CHAT, ASK)).status == 200


async def test_a_stream_that_waits_for_room_is_kept_alive_and_then_served(scripted: Peers) -> None:
    scripted.router.room = asyncio.Event()
    async with running("gateway", build, settings(scripted, keep_alive_s=0.05)):
        heard = bytearray()
        asking = asyncio.create_task(Client(scripted.folder / "http.sock", KEY).post(CHAT, STREAM, heard=heard))
        await eventually(lambda: scripted.router.waited)
        await eventually(lambda: heard.count(b": keep-alive") >= 2)
        scripted.router.room.set()
        answer = await asking
    assert answer.body.startswith(b": keep-alive\n\n: keep-alive\n\n")
    assert text_of(answer) == "Hello there!"
    (waited_s,) = scripted.router.waited
    assert 25 < waited_s <= 30


@pytest.mark.parametrize("more", [{}, {"stream": True}])
async def test_what_finds_the_queue_full_is_a_503_that_says_when_and_holds_nothing(
    client: Client, scripted: Peers, more: dict[str, object]
) -> None:
    scripted.router.full = True
    answer = await client.post(CHAT, ASK | more)
    assert error(answer) == (503, "service_unavailable_error", None, "server_is_overloaded")
    assert 5 <= int(answer.headers["retry-after"]) <= 13
    await eventually(lambda: list(scripted.ratelimit.settled.values()) == [0])
    assert scripted.billing.events == {}


async def test_a_client_that_leaves_the_queue_frees_its_reservation(client: Client, scripted: Peers) -> None:
    scripted.router.room = asyncio.Event()
    await leave(client.post(CHAT, ASK), once=lambda: scripted.router.waited)
    await eventually(lambda: list(scripted.ratelimit.settled.values()) == [0])
    assert scripted.inference.started == []


async def test_whoever_leaves_before_a_first_token_says_nothing_about_the_replica(
    client: Client, scripted: Peers
) -> None:
    scripted.inference.before = "hang"
    await leave(client.post(CHAT, ASK), once=lambda: scripted.inference.started)
    await eventually(lambda: list(scripted.router.released.values()) == [[ABANDONED]])


async def test_whoever_does_not_wait_for_a_first_token_says_nothing_about_the_replica(
    client: Client, scripted: Peers
) -> None:
    scripted.inference.before = "hang"
    assert (await client.post(CHAT, ASK, headers={"x-stainless-read-timeout": "1"})).status == 504
    await eventually(lambda: list(scripted.router.released.values()) == [[ABANDONED]])


async def test_no_longer_than_the_client_will_wait_is_waited(client: Client, scripted: Peers) -> None:
    scripted.inference.after = "hang"
    answer = await client.post(CHAT, ASK, headers={"x-stainless-read-timeout": "1.5"})
    assert error(answer) == (504, "server_error", None, "timeout")
    assert scripted.inference.started[0].time_left.ToMilliseconds() <= 1500
    await eventually(scripted.inference.aborted.is_set)
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: scripted.router.released.get(request_id) == [OK])  # its haste is not the replica's fault
    assert scripted.spare.started == []


async def test_vectors_are_waited_for_no_longer_than_the_client_will_and_the_replica_is_not_blamed(
    client: Client, scripted: Peers
) -> None:
    scripted.inference.before = "wait"
    answer = await client.post("/v1/embeddings", EMBED, headers={"x-stainless-read-timeout": "1.5"})
    scripted.inference.go_on.set()
    assert error(answer) == (504, "server_error", None, "timeout")
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: scripted.router.released.get(request_id) == [ABANDONED])
    assert scripted.spare.embedding == []
    assert scripted.router.items[0].body_hash != 0


async def test_a_stream_speaks_before_its_client_loses_patience(client: Client, scripted: Peers) -> None:
    scripted.inference.before = "wait"
    heard = bytearray()
    patience = {"x-stainless-read-timeout": "2"}  # the gateway's own ten seconds would be too late
    asking = asyncio.create_task(client.post(CHAT, STREAM, headers=patience, heard=heard))
    await eventually(lambda: b": keep-alive\n\n" in heard)
    scripted.inference.go_on.set()
    assert (await asking).body.startswith(b": keep-alive\n\n")


async def test_the_router_is_told_what_a_placement_needs(client: Client, scripted: Peers) -> None:
    long = "You are a helpful assistant. " * 40
    messages = [{"role": "system", "content": long}, {"role": "user", "content": "one"}]
    for question in ("one", "two"):
        messages[-1]["content"] = question
        headers = {"x-session-id": "tab-7"}
        body = {"model": "demo", "messages": messages, "service_tier": "flex"}
        answer = await client.post(CHAT, body, headers=headers)
        assert answer.json()["service_tier"] == "flex"
    first, second = scripted.router.items
    assert list(first.prefix_hashes) == list(second.prefix_hashes)
    assert len(first.prefix_hashes) == 3  # of 256, 512 and 1,024 bytes
    assert first.session_hash == second.session_hash != 0
    assert first.body_hash != second.body_hash
    assert first.service_class == router_pb2.SERVICE_CLASS_FLEX
    assert first.organization_id == "org-1"


@pytest.mark.parametrize("deaf", [False, True])
async def test_vectors_are_made_elsewhere_also_when_the_router_cannot_be_told_why(
    client: Client, scripted: Peers, deaf: bool
) -> None:
    scripted.inference.embeds, scripted.router.deaf = False, deaf
    assert (await client.post("/v1/embeddings", EMBED)).status == 200
    assert (len(scripted.inference.embedding), len(scripted.spare.embedding)) == (1, 1)


async def test_billing_hears_from_the_replica_which_model_made_the_vectors(client: Client, scripted: Peers) -> None:
    """The router may have placed them on a model to fall back on."""
    answer = await client.post("/v1/embeddings", EMBED)
    told = billing_pb2.UsageEvent.FromString(scripted.inference.embedding[0].admission)
    assert told.model == answer.headers["openai-model"] == "demo"


@pytest.mark.parametrize(
    ("path", "body"), [(CHAT, ASK), ("/v1/responses", {"model": "demo", "input": "hello", "store": False})]
)
@pytest.mark.parametrize(("tier", "billed"), [("priority", "priority"), ("flex", "flex"), ("auto", "default")])
async def test_billing_hears_of_the_tier_that_served_a_request(
    client: Client, scripted: Peers, path: str, body: dict[str, object], tier: str, billed: str
) -> None:
    answer = await client.post(path, body | {"service_tier": tier})
    assert answer.json()["service_tier"] == billed
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: request_id in scripted.billing.events)
    assert scripted.billing.events[request_id].service_tier == billed
