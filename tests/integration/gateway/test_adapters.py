"""Adapters as clients see them: models of their own, loaded when asked for, by a real router and simulated replicas."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from capstan.auth.v1 import auth_pb2
from capstan.inference.v1 import inference_pb2, inference_pb2_grpc
from capstan.router.v1 import router_pb2, router_pb2_grpc
from chassis.rpc_client import connect
from chassis.testing import running
from services.gateway.app import build as build_gateway
from services.inference.app import build as build_inference
from services.inference.settings import Settings as InferenceSettings
from services.router.app import build as build_router
from services.router.settings import AdapterSettings, ReplicaAddress
from services.router.settings import Settings as RouterSettings
from tests.integration.gateway.client import Client, error, eventually
from tests.integration.gateway.scripted import KEY, Peers, settings

POET, CLERK, OURS, THEIRS, BROKEN = (f"ft:sim:{name}" for name in ("poet", "clerk", "ours", "theirs", "broken"))
CHAT = "/v1/chat/completions"


def ask(model: str, **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], "temperature": 0, **more}


@dataclass
class World:
    """A gateway before a router before two replicas with room for one adapter and two requests each."""

    scripted: Peers
    client: Client
    stubs: list[inference_pb2_grpc.InferenceServiceStub] = field(default_factory=list)

    async def loaded(self) -> list[list[str]]:
        """The adapters of each replica, the fuller one first."""
        told = [await stub.DescribeModel(inference_pb2.DescribeModelRequest()) for stub in self.stubs]
        return sorted((list(each.adapters) for each in told), reverse=True)

    async def said(self, model: str) -> str:
        answer = await self.client.post(CHAT, ask(model, max_tokens=8))
        assert answer.status == 200, answer.body
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text


@pytest.fixture
async def world(scripted: Peers, tmp_path: Path) -> AsyncIterator[World]:
    adapters = {}
    for name in (POET, CLERK, OURS, THEIRS, BROKEN):
        folder = tmp_path / name.rpartition(":")[2]
        if name != BROKEN:
            folder.mkdir()
        owners = {OURS: frozenset({"org-1"}), THEIRS: frozenset({"org-2"})}.get(name, frozenset())
        adapters[name] = AdapterSettings(path=str(folder), organization_ids=owners)
    replica = InferenceSettings(
        model_name="sim",
        engine="simulator",
        sim_tokens_per_s=200,
        sim_ttft_s=0,
        max_running=2,
        max_adapters=1,
    )
    async with contextlib.AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(running("inference", build_inference, replica)) for _ in range(2)]
        places = tuple(ReplicaAddress(id=f"sim-{n}", address=each.address) for n, each in enumerate(replicas))
        routing = RouterSettings(
            replicas=places, adapters=adapters, aliases={"poet": POET, "hidden": THEIRS}, load_interval_s=0.1
        )
        router = await stack.enter_async_context(running("router", build_router, routing))
        made = settings(scripted).model_copy(update={"router_address": router.address})
        await stack.enter_async_context(running("gateway", build_gateway, made))
        channels = [await stack.enter_async_context(connect(each.address)) for each in replicas]
        stubs = [inference_pb2_grpc.InferenceServiceStub(channel) for channel in channels]
        world = World(scripted, Client(scripted.folder / "http.sock", KEY), stubs)
        known = router_pb2_grpc.RouterServiceStub(await stack.enter_async_context(connect(router.address)))
        async with asyncio.timeout(20):
            while await _ready(known, "sim") < len(replicas):
                await asyncio.sleep(0.01)
            # No request: for a while after its answer the router still counts it, and places others accordingly.
            while (await world.client.get("/v1/models/sim")).status != 200:
                pass
        yield world


async def _ready(router: router_pb2_grpc.RouterServiceStub, model: str) -> int:
    models = (await router.ListModels(router_pb2.ListModelsRequest())).models
    return next((each.ready_replica_count for each in models if each.name == model), 0)


async def test_it_is_listed_with_its_parent_for_those_who_may_use_it(world: World) -> None:
    models = {model["id"]: model for model in (await world.client.get("/v1/models")).json()["data"]}
    assert sorted(models) == sorted([POET, CLERK, OURS, BROKEN, "poet", "sim"])
    assert models[POET]["parent"] == "sim"
    assert (models[POET]["owned_by"], models[OURS]["owned_by"]) == ("capstan", "org-1")
    assert "parent" not in models["sim"]


async def test_it_answers_in_its_own_words_and_is_billed_by_its_own_name(world: World) -> None:
    answer = await world.client.post(CHAT, ask("poet", max_tokens=8))
    assert (answer.status, answer.json()["model"]) == (200, POET)
    assert await world.loaded() == [[POET], []]
    assert await world.said(POET) == answer.json()["choices"][0]["message"]["content"] != await world.said("sim")
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: request_id in world.scripted.billing.events)
    assert world.scripted.billing.events[request_id].model == POET


async def test_what_is_another_organisations_does_not_exist(world: World) -> None:
    for name in (THEIRS, "hidden"):
        assert error(await world.client.post(CHAT, ask(name)))[0::3] == (404, "model_not_found")
        assert (await world.client.get(f"/v1/models/{name}")).status == 404
    assert await world.said(OURS)


async def test_a_project_that_is_denied_a_model_is_denied_its_adapters(world: World) -> None:
    world.scripted.auth.principal.denied_models.append("sim")
    await world.scripted.auth.changes.put(auth_pb2.WatchResponse(key_ids=["key_1"]))
    async with asyncio.timeout(20):
        while (await world.client.get(f"/v1/models/{POET}")).status != 404:
            pass
    assert error(await world.client.post(CHAT, ask("poet")))[0] == 403


async def test_files_that_cannot_be_loaded_are_an_unknown_model_and_hurt_nobody_else(world: World) -> None:
    for _ in range(4):
        assert error(await world.client.post(CHAT, ask(BROKEN)))[0::3] == (404, "model_not_found")
    assert await world.said("sim")
    assert await world.said(POET)


async def test_more_adapters_than_slots_take_turns(world: World) -> None:
    words = {name: await world.said(name) for name in (POET, CLERK, OURS)}
    assert len(set(words.values())) == 3
    assert {name: await world.said(name) for name in words} == words
    assert all(len(each) <= 1 for each in await world.loaded())


async def test_under_load_a_second_replica_loads_it_too(world: World) -> None:
    endless = ask(POET, stream=True, max_tokens=4000, stop=["never"])
    streams = []
    for count in (1, 2):
        streams.append(asyncio.create_task(world.client.post(CHAT, endless)))
        async with asyncio.timeout(20):
            while [bool(each) for each in await world.loaded()].count(True) < count:
                pass
    assert await world.loaded() == [[POET], [POET]]
    for stream in streams:
        stream.cancel()
    await asyncio.wait(streams)
