"""Sessions whose prompts take a while: what happens to a request that is not in the engine yet."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator

import pytest

from capstan.errors.v1 import errors_pb2
from capstan.inference.v1 import inference_pb2 as pb
from services.inference.adapter_shelf import AdapterShelf
from services.inference.answer import Tally
from services.inference.engine_sim import SimEngine, SimOptions
from services.inference.preparation import Preparation, Prepared
from services.inference.session import Limits, Session, Shared
from services.inference.sim_vocabulary import SimTokenizer
from services.inference.simulation import Pace
from services.inference.wire import Asked


class Slow(Preparation):
    """Prepares when it is allowed to."""

    def __init__(self) -> None:
        super().__init__(SimTokenizer(), salt_key=b"secret")
        self.allowed = threading.Event()
        self.broken = False

    def prepare(self, asked: Asked) -> Prepared:
        assert self.allowed.wait(10)
        if self.broken:
            raise RuntimeError("a bug")
        return super().prepare(asked)


class Notes:
    """Hears how requests went."""

    def __init__(self) -> None:
        self.finishes: list[str] = []

    def request_ended(self, tally: Tally, began: float, now: float) -> None:
        self.finishes.append(tally.finish)

    def frame_sent(self, deltas: int) -> None:
        pass


class World:
    """A session over a simulator, without a wire."""

    def __init__(self) -> None:
        self.engine = SimEngine(SimOptions(pace=Pace(tokens_per_s=0, ttft_s=0)))
        self.preparation = Slow()
        self.notes = Notes()
        self.now = 100.0
        self.cut_off = 0
        self.shared = Shared(
            engine=self.engine,
            adapters=AdapterShelf(self.engine, logging.getLogger("test")),
            preparation=self.preparation,
            limits=Limits(waiting_deltas=100, write_s=5, inline_characters=0, preparing=2),
            observer=self.notes,
            now=lambda: self.now,
            new_call_id=lambda: "call_1",
            log=logging.getLogger("test"),
            request_ids=set(),
        )
        self.session = Session(self.shared, self._cut)
        self.frames = self.session.frames()

    def _cut(self) -> None:
        self.cut_off += 1

    def start(self, slot: int, *, seconds: int = 0) -> None:
        start = pb.Start(slot=slot, request_id=f"req_{slot}", organization_id="org_1", text="Hello")
        start.sampling.max_tokens = 3
        if seconds:
            start.time_left.FromSeconds(seconds)
        self.session.start(start)

    async def deltas(self) -> list[pb.Delta]:
        return list((await asyncio.wait_for(anext(self.frames), 10)).deltas)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.engine.start()
    assert await world.deltas() == []
    yield world
    world.preparation.allowed.set()
    world.session.close()
    await world.frames.aclose()


async def test_a_long_prompt_is_prepared_apart_and_then_runs(world: World) -> None:
    world.start(1)
    assert world.shared.preparing == 1
    world.preparation.allowed.set()
    assert (await world.deltas())[0].slot == 1
    assert world.shared.preparing == 0


async def test_an_abort_while_it_is_prepared_ends_it(world: World) -> None:
    world.start(1)
    world.session.abort(1)
    [delta] = await world.deltas()
    assert delta.finish_reason == pb.FINISH_REASON_ABORT
    assert delta.finish.usage.completion_tokens == 0
    assert world.shared.request_ids == set()
    world.preparation.allowed.set()
    world.start(1)
    assert (await world.deltas())[0].slot == 1


async def test_a_session_that_closes_while_it_is_prepared_runs_nothing(world: World) -> None:
    world.start(1)
    world.session.close()
    world.preparation.allowed.set()
    async with asyncio.timeout(10):
        while world.shared.preparing:
            await asyncio.sleep(0)
    assert world.engine.load().prompt_tokens == 0
    assert (world.notes.finishes, world.shared.request_ids, world.session.slots) == (["abort"], set(), 0)


async def test_time_runs_while_it_is_prepared(world: World) -> None:
    world.start(1, seconds=10)
    world.now += 11
    world.session.tend(world.now)
    [delta] = await world.deltas()
    assert delta.HasField("failure")
    assert delta.finish.HasField("usage")
    assert delta.finish.usage.prompt_tokens == 0
    assert world.notes.finishes == ["deadline_exceeded"]


async def test_what_runs_out_of_time_in_the_engine_ends_with_what_it_used(world: World) -> None:
    world.engine.turn(ttft_s=1000)
    world.preparation.allowed.set()
    world.start(1, seconds=10)
    async with asyncio.timeout(10):
        while not world.engine.load().prompt_tokens:
            await asyncio.sleep(0)
    world.now += 11
    world.session.tend(world.now)
    [delta] = await world.deltas()
    assert delta.failure.reason == errors_pb2.ERROR_REASON_DEADLINE_EXCEEDED
    assert delta.finish.usage.prompt_tokens == world.engine.load().prompt_tokens
    assert world.engine.load().running + world.engine.load().waiting == 0


async def test_only_so_many_are_prepared_at_once(world: World) -> None:
    for slot in range(3):
        world.start(slot)
    [delta] = await world.deltas()
    assert (delta.slot, delta.HasField("failure")) == (2, True)
    assert world.shared.preparing == 2


async def test_a_fault_in_preparation_fails_its_request_alone(world: World) -> None:
    world.preparation.broken = True
    world.preparation.allowed.set()
    world.start(1)
    [delta] = await world.deltas()
    assert delta.HasField("failure")
    world.preparation.broken = False
    world.start(2)
    assert (await world.deltas())[0].slot == 2


async def test_a_fault_at_the_start_fails_its_request_alone(world: World) -> None:
    world.shared.limits = Limits(waiting_deltas=100, write_s=5, inline_characters=1000, preparing=2)
    world.preparation.broken = True
    world.preparation.allowed.set()
    world.start(1)
    [delta] = await world.deltas()
    assert delta.HasField("failure")
    assert world.shared.request_ids == set()


async def test_a_frame_that_is_not_taken_cuts_the_session_off_once(world: World) -> None:
    world.preparation.allowed.set()
    world.start(1)
    await world.deltas()
    world.now += 6
    world.session.tend(world.now)
    world.session.tend(world.now)
    assert (world.cut_off, world.session.slots) == (1, 0)


async def test_a_drained_session_ends_when_nothing_runs(world: World) -> None:
    world.shared.draining = True
    world.session.tend(world.now)
    with pytest.raises(StopAsyncIteration):
        await world.deltas()


async def test_prompts_are_salted_by_organization() -> None:
    preparation = Preparation(SimTokenizer(), salt_key=b"secret")
    other = Preparation(SimTokenizer(), salt_key=b"another")

    def salt(of: Preparation, organization: str) -> str:
        from services.inference.wire import read_start

        start = pb.Start(request_id="req_1", organization_id=organization, text="Hello")
        return of.prepare(read_start(start)).request.cache_salt

    assert salt(preparation, "org_1") == salt(preparation, "org_1")
    assert len({salt(preparation, "org_1"), salt(preparation, "org_2"), salt(other, "org_1")}) == 3
    assert "org" not in salt(preparation, "org_1")


async def test_a_poisoned_prompt_kills_the_simulator() -> None:
    deaths: list[int] = []
    engine = SimEngine(SimOptions(poison="please die"), kill=lambda: deaths.append(1))
    await engine.start()
    shared = World().shared
    shared.engine, shared.preparation = engine, Preparation(SimTokenizer(), salt_key=b"s")
    shared.limits = Limits(waiting_deltas=100, write_s=5, inline_characters=1000, preparing=2)
    session = Session(shared, lambda: None)
    for slot, text in enumerate(("please live", "now please die!")):
        session.start(pb.Start(slot=slot, request_id=f"req_{slot}", organization_id="org_1", text=text))
        assert len(deaths) == slot
    session.close()
