"""Adapters that requests bring along: loaded once, kept while used, taken away when idle longest."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.inference.adapter_shelf import AdapterShelf, Brought
from services.inference.engine_sim import SimEngine, SimOptions
from services.inference.errors import AdaptersFullError, UnknownAdapterError


class Slow(SimEngine):
    """A simulator whose loads take until they are let go on."""

    def __init__(self) -> None:
        super().__init__(SimOptions(max_adapters=2))
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.loads: list[str] = []

    async def load_adapter(self, name: str, path: str) -> None:
        self.loads.append(name)
        await self.may_go_on.wait()
        await super().load_adapter(name, path)


class World:
    def __init__(self, folder: Path) -> None:
        self.engine = Slow()
        self.shelf = AdapterShelf(self.engine, logging.getLogger("test"))
        self._folder = folder

    def brought(self, name: str, folder: str = "") -> Brought:
        path = self._folder / (folder or name)
        path.mkdir(exist_ok=True)
        return Brought(name, str(path))

    async def use(self, *names: str) -> None:
        for name in names:
            adapter = self.brought(name)
            self.shelf.hold(adapter)
            if not self.shelf.has(adapter):
                await self.shelf.load(adapter)
            self.shelf.give_back(adapter)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.engine.start()
    yield world
    await world.engine.close()


async def test_all_that_ask_at_once_wait_for_one_load(world: World) -> None:
    world.engine.may_go_on.clear()
    waiting = [asyncio.create_task(world.shelf.load(world.brought("poet"))) for _ in range(5)]
    await asyncio.sleep(0)
    world.engine.may_go_on.set()
    await asyncio.gather(*waiting)
    assert world.engine.loads == ["poet"]
    assert world.shelf.has(world.brought("poet"))


async def test_a_load_goes_on_although_who_asked_has_left(world: World) -> None:
    world.engine.may_go_on.clear()
    poet = world.brought("poet")
    hasty, patient = (asyncio.create_task(world.shelf.load(poet)) for _ in range(2))
    await asyncio.sleep(0)
    hasty.cancel()
    await asyncio.wait([hasty])
    world.engine.may_go_on.set()
    await patient
    assert world.engine.adapters == ("poet",)


async def test_what_is_idle_longest_makes_room(world: World) -> None:
    await world.use("one", "two", "one", "three")
    assert world.engine.adapters == ("one", "three")


async def test_what_is_used_stays_and_the_third_is_refused(world: World) -> None:
    for name in ("one", "two"):
        world.shelf.hold(world.brought(name))
        await world.shelf.load(world.brought(name))
    with pytest.raises(AdaptersFullError):
        await world.shelf.load(world.brought("three"))
    world.shelf.give_back(world.brought("two"))
    await world.shelf.load(world.brought("three"))
    assert world.engine.adapters == ("one", "three")


async def test_files_that_cannot_be_used_are_told_of_and_leave_no_trace(world: World) -> None:
    with pytest.raises(UnknownAdapterError, match="no such folder"):
        await world.shelf.load(Brought("poet", "/nowhere"))
    assert world.engine.adapters == ()
    await world.use("poet")
    assert world.engine.adapters == ("poet",)


async def test_other_files_under_the_name_take_the_place_of_idle_ones(world: World) -> None:
    await world.use("poet")
    newer = world.brought("poet", "poet-2")
    assert not world.shelf.has(newer)
    await world.shelf.load(newer)
    assert world.shelf.has(newer)
    assert not world.shelf.has(world.brought("poet"))


async def test_other_files_under_a_name_in_use_are_refused(world: World) -> None:
    world.shelf.hold(world.brought("poet"))
    await world.shelf.load(world.brought("poet"))
    with pytest.raises(UnknownAdapterError, match="taken"):
        await world.shelf.load(world.brought("poet", "poet-2"))
    assert world.shelf.has(world.brought("poet"))


async def test_what_an_operator_loaded_is_not_taken_away(world: World) -> None:
    for name in ("one", "two"):
        await world.engine.load_adapter(*world.brought(name))
    with pytest.raises(AdaptersFullError):
        await world.shelf.load(world.brought("three"))
