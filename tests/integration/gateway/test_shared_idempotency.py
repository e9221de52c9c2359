"""`Idempotency-Key` with two gateways and a real ratelimit between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from capstan.auth.v1 import auth_pb2
from capstan.billing.v1 import billing_pb2
from chassis.testing import Running, running
from services.gateway.app import build
from services.ratelimit.app import build as build_ratelimit
from services.ratelimit.settings import Settings as RatelimitSettings
from tests.integration.gateway.client import Client, error, eventually, leave
from tests.integration.gateway.scripted import KEY, MODEL, Peers, settings

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello"}]}
CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Pair:
    """Two gateways."""

    one: Client
    other: Client
    ratelimit: Running
    first: Running

    @property
    def both(self) -> tuple[Client, Client]:
        return self.one, self.other


@pytest.fixture
async def pair(scripted: Peers, valkey_url: str) -> AsyncIterator[Pair]:
    unhurried = RatelimitSettings(valkey_url=valkey_url, valkey_timeout_s=5.0)
    async with AsyncExitStack() as stack:
        ratelimit = await stack.enter_async_context(running("ratelimit", build_ratelimit, unhurried))
        clients, gateways = [], []
        for name in ("one", "other"):
            socket = scripted.folder / f"{name}.sock"
            its_own = {
                "ratelimit_address": ratelimit.address,
                "http_listen": f"unix:{socket}",
                "journal_path": scripted.folder / f"{name}.db",
            }
            told = settings(scripted, grace_s=60.0, default_completion_tokens=16).model_copy(update=its_own)
            gateways.append(await stack.enter_async_context(running("gateway", build, told)))
            clients.append(Client(socket, KEY))
        yield Pair(clients[0], clients[1], ratelimit, gateways[0])


def serving() -> int:
    """Gateways that serve connections."""
    return [task.get_name() for task in asyncio.all_tasks()].count("http server")


async def test_fifty_at_once_over_two_gateways_are_done_and_billed_once(pair: Pair, scripted: Peers) -> None:
    keyed = {"idempotency-key": "order-50"}
    scripted.inference.after = "wait"
    asking = [asyncio.ensure_future(pair.both[i % 2].post(CHAT, ASK, headers=keyed)) for i in range(50)]
    await eventually(lambda: scripted.inference.started)
    scripted.inference.go_on.set()
    answers = await asyncio.gather(*asking)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    (paid,) = [answer.headers["x-request-id"] for answer in answers if "idempotent-replayed" not in answer.headers]
    assert len(scripted.inference.started) == 1
    await eventually(lambda: scripted.billing.events)
    assert set(scripted.billing.events) == {paid}


async def test_the_other_gateway_tells_the_answer_as_it_was(pair: Pair, scripted: Peers) -> None:
    keyed = {"idempotency-key": "order-8"}
    first = await pair.one.post(CHAT, ASK, headers=keyed)
    again = await pair.other.post(CHAT, ASK, headers=keyed)
    assert (again.status, again.body, again.headers["idempotent-replayed"]) == (200, first.body, "true")
    assert again.headers["openai-organization"] == first.headers["openai-organization"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert "x-ratelimit-remaining-requests" not in again.headers
    changed = await pair.other.post(CHAT, ASK | {"seed": 1}, headers=keyed)
    assert error(changed)[::3] == (400, "idempotency_key_reused")
    assert len(scripted.inference.started) == 1


async def test_the_answer_outlives_the_gateway_that_gave_it(pair: Pair, scripted: Peers) -> None:
    keyed = {"idempotency-key": "order-9"}
    first = await pair.one.post(CHAT, ASK, headers=keyed)
    pair.first.stop.ask()
    again = await pair.other.post(CHAT, ASK, headers=keyed)
    assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")
    assert len(scripted.inference.started) == 1


async def test_a_gateway_that_stops_ends_what_a_client_asked_for_that_left(pair: Pair, scripted: Peers) -> None:
    keyed = {"idempotency-key": "order-12"}
    scripted.inference.after = "wait"
    await leave(pair.one.post(CHAT, ASK, headers=keyed), once=lambda: scripted.inference.started)
    pair.first.stop.ask()
    await eventually(lambda: serving() == 1)
    await asyncio.sleep(0.05)  # nothing is seen of a gateway that waits
    again = asyncio.ensure_future(pair.other.post(CHAT, ASK, headers=keyed))
    scripted.inference.go_on.set()
    answer = await again
    assert (answer.status, answer.headers.get("idempotent-replayed")) == (200, "true")
    await eventually(lambda: scripted.billing.events)
    assert [event.outcome for event in scripted.billing.events.values()] == [billing_pb2.OUTCOME_OK]
    assert len(scripted.inference.started) == 1


async def test_what_a_gateway_cannot_end_before_it_stops_is_free_and_done_by_the_other(
    pair: Pair, scripted: Peers
) -> None:
    keyed = {"idempotency-key": "order-13"}
    scripted.inference.after = "wait"
    await leave(pair.one.post(CHAT, ASK, headers=keyed), once=lambda: scripted.inference.started)
    pair.first.stop.ask()
    pair.first.stop.ask()
    await eventually(lambda: scripted.billing.events)
    scripted.inference.after = ""
    answer = await pair.other.post(CHAT, ASK, headers=keyed)
    assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False)
    await eventually(lambda: len(scripted.billing.events) == 2)
    paid = scripted.billing.events.pop(answer.headers["x-request-id"])
    (free,) = scripted.billing.events.values()
    assert (paid.outcome, free.outcome) == (billing_pb2.OUTCOME_OK, billing_pb2.OUTCOME_SERVER_ERROR)


async def test_work_that_is_cut_short_before_it_began_frees_its_key_whoever_was_being_asked(
    pair: Pair, scripted: Peers
) -> None:
    """A call of gRPC forgets why it was cancelled: the key would be used up by work that cost nothing."""
    keyed = {"idempotency-key": "order-77"}
    scripted.auth.principal.moderation_policy = auth_pb2.MODERATION_POLICY_REQUIRED
    scripted.moderation.room = asyncio.Event()
    await leave(pair.one.post(CHAT, ASK, headers=keyed), once=lambda: scripted.moderation.asked)
    pair.first.stop.ask()
    pair.first.stop.ask()
    await eventually(lambda: scripted.moderation.given_up)
    scripted.moderation.room.set()
    answer = await pair.other.post(CHAT, ASK, headers=keyed)
    assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False)
    await eventually(lambda: list(scripted.billing.events) == [answer.headers["x-request-id"]])


async def test_a_stream_begins_once(pair: Pair, scripted: Peers) -> None:
    keyed = {"idempotency-key": "order-10"}
    assert (await pair.one.post(CHAT, ASK | {"stream": True}, headers=keyed)).status == 200
    again = await pair.other.post(CHAT, ASK | {"stream": True}, headers=keyed)
    assert error(again)[::3] == (409, "idempotency_key_used")
    assert len(scripted.inference.started) == 1


async def test_what_failed_at_one_may_be_made_at_the_other(pair: Pair, scripted: Peers) -> None:
    keyed = {"idempotency-key": "order-11"}
    scripted.inference.before = scripted.spare.before = "fail"
    assert (await pair.one.post(CHAT, ASK, headers=keyed)).status == 500
    scripted.inference.before = scripted.spare.before = ""
    answer = await pair.other.post(CHAT, ASK, headers=keyed)
    assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False)
