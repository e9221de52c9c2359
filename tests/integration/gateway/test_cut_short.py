"""What is paid of work that was cut short: what the engine counted, and what billing hears of it from the replica."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from capstan.billing.v1 import billing_pb2
from capstan.inference.v1 import inference_pb2, inference_pb2_grpc
from chassis.rpc_client import connect
from chassis.testing import running
from services.gateway.app import build
from services.inference.app import build as build_inference
from services.inference.settings import Settings as InferenceSettings
from tests.integration.gateway.client import Client, eventually, leave
from tests.integration.gateway.scripted import KEY, MODEL, Peers, settings
from tests.witness import Witness, listening

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
LONG = "alpha " * 300
"""Which the gateway estimates at two thirds of what it is to the simulator."""
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": LONG}], "max_tokens": 4000}


class World:
    """A gateway before a simulated replica, and what billing hears of both."""

    def __init__(self, scripted: Peers, client: Client, witness: Witness, replica: str) -> None:
        self._scripted = scripted
        self._replica = replica
        self.client = client
        self.told = witness.told

    async def event(self) -> billing_pb2.UsageEvent:
        await eventually(lambda: self._scripted.billing.events)
        (event,) = self._scripted.billing.events.values()
        return event

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Callable[[], bool]]:
        """What to ask whether the replica has begun to work."""
        async with connect(self._replica) as channel:
            watching = asyncio.create_task(self._busy(inference_pb2_grpc.InferenceServiceStub(channel)))
            yield watching.done
            await watching

    async def _busy(self, stub: inference_pb2_grpc.InferenceServiceStub) -> None:
        call = stub.WatchLoad(inference_pb2.WatchLoadRequest())
        while not (await call.read()).running_count:
            pass
        call.cancel()


@asynccontextmanager
async def served(
    scripted: Peers, *, keep_alive_s: float = 10.0, first_token_timeout_s: float = 60.0, **simulator: Any
) -> AsyncIterator[World]:
    made = settings(scripted, keep_alive_s=keep_alive_s, first_token_timeout_s=first_token_timeout_s)
    async with listening(scripted.folder) as (witness, address):
        replica = InferenceSettings(model_name=MODEL, engine="simulator", billing_address=address, **simulator)
        async with running("inference", build_inference, replica) as inference:
            scripted.router.replicas = {"replica": inference.address}
            async with running("gateway", build, made):
                yield World(scripted, Client(scripted.folder / "http.sock", KEY), witness, inference.address)


def counts(usage: Any) -> tuple[int, int]:
    return usage.prompt_tokens, usage.completion_tokens


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_leaves_before_the_first_token_pays_the_prompt_as_the_engine_counted_it(
    scripted: Peers, stream: bool
) -> None:
    async with served(scripted, keep_alive_s=0.1, sim_ttft_s=1000) as world, world.at_work() as working:
        heard = bytearray()  # a stream has its head, and its client is told that somebody works
        asking = world.client.post(CHAT, ASK | {"stream": stream}, heard=heard)
        await leave(asking, once=lambda: working() and (not stream or b"keep-alive" in heard))
        event = await world.event()
        await eventually(lambda: world.told)
        (told,) = world.told.values()
        assert (event.outcome, event.usage_estimated) == (billing_pb2.OUTCOME_CLIENT_CLOSED, False)
        assert counts(event.usage) == counts(told.usage)
        assert event.usage.prompt_tokens > 300
        assert scripted.ratelimit.settled == {event.request_id: event.usage.prompt_tokens}


async def test_a_request_refused_for_its_second_prompt_is_free_and_on_record_since_the_first_was_taken_in(
    scripted: Peers,
) -> None:
    """Of the first one its replica tells billing, which would charge it if no gateway said otherwise."""
    async with served(scripted, sim_ttft_s=1000) as world:
        body = {"model": MODEL, "prompt": [[1, 2, 3, 4, 5], [10**6]], "max_tokens": 16}
        answer = await world.client.post(COMPLETIONS, body)
        assert answer.status == 400
        request_id = answer.headers["x-request-id"]
        event = await world.event()
        await eventually(lambda: world.told)
        assert (event.request_id, event.outcome) == (request_id, billing_pb2.OUTCOME_SERVER_ERROR)
        assert [(name, told.usage.prompt_tokens) for name, told in world.told.items()] == [(f"{request_id}-0", 5)]
        await eventually(lambda: scripted.ratelimit.settled == {request_id: 0})


@pytest.mark.parametrize("prompts", [[LONG], ["Count to 3", LONG]])
async def test_what_runs_out_of_time_is_billed_by_the_engines_count_whoever_notices_first(
    scripted: Peers, prompts: list[str]
) -> None:
    """One of the prompts may have been done."""
    async with served(scripted, sim_ttft_s=0, sim_tokens_per_s=20, sim_answer_tokens=10**6) as world:
        body = {"model": MODEL, "prompt": prompts, "max_tokens": 4000}
        answer = await world.client.post(COMPLETIONS, body, headers={"x-stainless-read-timeout": "1.5"})
        assert answer.status == 504
        event = await world.event()
        await eventually(lambda: len(world.told) == len(prompts))
        assert (event.outcome, event.usage_estimated) == (billing_pb2.OUTCOME_TRUNCATED, False)
        assert event.usage.prompt_tokens == sum(told.usage.prompt_tokens for told in world.told.values())
        assert event.usage.completion_tokens == sum(told.usage.completion_tokens for told in world.told.values())
        assert not any(told.failed for told in world.told.values())


async def test_whoever_leaves_before_there_are_vectors_pays_the_prompt_by_estimate(
    client: Client, scripted: Peers
) -> None:
    scripted.inference.before = "wait"
    asking = client.post(EMBEDDINGS, {"model": "vectors", "input": [[1, 2, 3], [4]]})
    await leave(asking, once=lambda: scripted.inference.embedding)
    await eventually(lambda: scripted.billing.events)
    scripted.inference.go_on.set()
    (event,) = scripted.billing.events.values()
    assert (event.outcome, event.usage_estimated) == (billing_pb2.OUTCOME_CLIENT_CLOSED, True)
    assert event.usage.prompt_tokens >= 4


@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
async def test_whoever_leaves_a_replica_that_cannot_be_reached_pays_nothing(
    client: Client, scripted: Peers, path: str
) -> None:
    with socket.socket(socket.AF_UNIX) as hole:  # whose connections nobody ever accepts
        hole.bind(f"{scripted.folder}/hole.sock")
        hole.listen(8)
        scripted.router.replicas = {"hole": f"unix:{scripted.folder}/hole.sock"}
        body = ASK if path == CHAT else {"model": "vectors", "input": LONG}
        await leave(client.post(path, body), once=lambda: scripted.router.items)
        await eventually(lambda: scripted.billing.events)
    (event,) = scripted.billing.events.values()
    assert (event.outcome, counts(event.usage)) == (billing_pb2.OUTCOME_CLIENT_CLOSED, (0, 0))


async def test_what_no_replica_took_is_no_use_of_anything(client: Client, scripted: Peers) -> None:
    scripted.router.replicas = {name: f"unix:{scripted.folder}/{name}.sock" for name in ("gone", "gone-too")}
    answer = await client.post(CHAT, ASK)
    await eventually(lambda: scripted.billing.events)
    (event,) = scripted.billing.events.values()
    assert (answer.status, event.outcome) == (503, billing_pb2.OUTCOME_SERVER_ERROR)
    assert counts(event.usage) == (0, 0)


async def test_what_a_replica_did_in_vain_is_our_fault_also_when_the_client_leaves_before_the_next(
    scripted: Peers,
) -> None:
    """Both witnesses would else differ: the replica has told billing of the prompt."""
    async with served(scripted, first_token_timeout_s=1.0, sim_ttft_s=1000) as world:
        async with world.at_work() as working:
            asking = asyncio.create_task(leave(world.client.post(CHAT, ASK), once=lambda: scripted.router.waited))
            await eventually(working)
            scripted.router.room = asyncio.Event()
            await asking
        event = await world.event()
        await eventually(lambda: world.told)
    assert (event.outcome, counts(event.usage)) == (billing_pb2.OUTCOME_SERVER_ERROR, (0, 0))


@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
async def test_whoever_leaves_the_queue_pays_nothing(client: Client, scripted: Peers, path: str) -> None:
    scripted.router.room = asyncio.Event()
    body = ASK if path == CHAT else {"model": "vectors", "input": "a"}
    await leave(client.post(path, body), once=lambda: scripted.router.waited)
    await eventually(lambda: scripted.billing.events)
    (event,) = scripted.billing.events.values()
    assert (event.outcome, event.usage_estimated) == (billing_pb2.OUTCOME_CLIENT_CLOSED, False)
    assert counts(event.usage) == (0, 0)


async def test_whoever_leaves_after_another_replica_was_asked_pays_what_that_one_counted(
    client: Client, scripted: Peers
) -> None:
    scripted.inference.before, scripted.spare.before = "fail", "hang"
    await leave(client.post(CHAT, ASK), once=lambda: scripted.spare.started)
    await eventually(lambda: scripted.billing.events)
    (event,) = scripted.billing.events.values()
    assert (event.outcome, event.usage_estimated) == (billing_pb2.OUTCOME_CLIENT_CLOSED, False)
    assert counts(event.usage) == (7, 1)
