"""Gateways, billing and one meter, told in any order: a cap is never exceeded, and at rest the meter is what is posted.

The scripts are the real ones; gateways and billing are what decision 26 says of them. A gateway dies with requests open
and with settlements unsent; billing settles them later; Valkey is lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from chassis.valkey import Script, Valkey
from tests.integration.ratelimit.by_hand import by_hand, set_clock
from tests.integration.ratelimit.test_money import HOLD_MS, KEY, START_MS, stage

__all__ = ["stage"]  # the fixture

CAP = 1000


@dataclass
class Request:
    """One that was let in."""

    number: int
    gateway: int
    hold: int
    actual: int
    """What it costs, or what was used of it when its gateway died."""
    state: str = "running"
    """running, dead, ended, booked: billing has it."""
    settled: bool = False
    """Its settlement arrived, or went with its gateway."""


@dataclass
class Story:
    """All that happened."""

    reserve: Script
    settle: Script
    requests: list[Request] = field(default_factory=list)
    recovered: set[int] = field(default_factory=set)
    """Dead ones that billing has settled, and gateways have not."""
    posted: int = 0
    told: tuple[int, frozenset[int]] = (0, frozenset())
    """What terms say: what is posted, and who was recovered."""

    def some(self, which: int, *states: str, settled: bool | None = None) -> Request | None:
        found = [one for one in self.requests if one.state in states and settled in (None, one.settled)]
        return found[which % len(found)] if found else None

    async def ask(self, number: int, hold: int, *, granted: bool = False, seed: int | None = None) -> bool:
        charge = ["money", "r", CAP, CAP, hold, "" if seed is None else seed, self.told[0]]
        answer: Any = await self.reserve(
            [f"{{rl:o}}:reservation:{number}", KEY], [HOLD_MS, 10 * HOLD_MS, int(granted), *charge]
        )
        if answer[1] == -2:
            return await self.ask(number, hold, seed=self.posted)
        return bool(answer[0] == 0)

    async def begin(self, gateway: int, hold: int, share: int) -> None:
        number = len(self.requests)
        let_in = await self.ask(number, hold)
        if let_in:
            self.requests.append(Request(number, gateway, hold, hold * share // 4))
        else:  # as a refused request that may have been asked for
            self.requests.append(Request(number, gateway, 0, 0, "booked", settled=True))
            await self.end(number, 0)
        for one in self.told[1] & self.recovered:  # the meter has what is posted now, so it need not hold it
            await self.end(one, 0)
            self.recovered.discard(one)

    async def end(self, number: int, amount: int) -> None:
        await self.settle([f"{{rl:o}}:reservation:{number}"], [0, amount, 10 * HOLD_MS])

    async def step(self, name: str, which: int, hold: int, share: int) -> None:
        if name == "begin":
            await self.begin(which % 2, hold, share)
        elif name == "tell":
            self.told = (self.posted, frozenset(self.recovered))
        elif name == "finish" and (one := self.some(which, "running")):
            one.state = "ended"
        elif name == "settle" and (one := self.some(which, "ended", settled=False)):
            await self.end(one.number, one.actual)
            one.settled = True
        elif name == "book" and (one := self.some(which, "ended", settled=True)):
            self.posted += one.actual
            one.state = "booked"
        elif name == "recover" and (one := self.some(which, "dead")):
            self.posted += one.actual
            one.state = "booked"
            self.recovered.add(one.number)
        elif name == "kill":
            for one in self.requests:
                if one.gateway == which % 2 and one.state == "running":
                    one.state, one.settled = "dead", True
                elif one.gateway == which % 2 and not one.settled:
                    one.settled = True  # its journal has it
        event(name)

    async def lose(self, valkey: Valkey) -> None:
        """Valkey is gone, while no dead gateway's money is on its way."""
        if self.some(0, "dead"):
            return
        await valkey.command("FLUSHDB")
        await set_clock(valkey, START_MS)
        for one in self.requests:
            if one.state == "running":
                await self.ask(one.number, one.hold, granted=True)
            elif one.state == "ended":  # shipped before anybody is told what is posted
                self.posted += one.actual
                one.state, one.settled = "booked", True
        self.recovered.clear()

    @property
    def worst(self) -> int:
        """What all that was let in has cost, or still can."""
        return sum(one.hold if one.state == "running" else one.actual for one in self.requests)


names = st.sampled_from(["begin"] * 4 + ["finish", "settle", "book"] * 2 + ["tell", "recover", "kill"])
steps = st.lists(st.tuples(names, st.integers(0, 7), st.integers(0, 400), st.integers(0, 4)), max_size=60)


@given(before=steps, after=steps, lost=st.booleans())
def test_no_story_exceeds_a_cap_and_each_ends_with_what_is_posted(
    stage: tuple[asyncio.Runner, Valkey], before: list[Any], after: list[Any], lost: bool
) -> None:
    runner, valkey = stage
    scripts = {name: valkey.script(by_hand(name)) for name in ("reserve", "settle", "reap", "audit")}

    async def play() -> None:
        await valkey.command("FLUSHDB")
        await set_clock(valkey, START_MS)
        story = Story(scripts["reserve"], scripts["settle"])
        for part in (before, after):
            for each in part:
                await story.step(*each)
                assert story.worst <= CAP, each
            if lost:
                await story.lose(valkey)
        for name in ("finish", "settle", "book", "recover"):
            while (last := [one.state + str(one.settled) for one in story.requests]) is not None:
                await story.step(name, 0, 0, 0)
                if last == [one.state + str(one.settled) for one in story.requests]:
                    break
        await story.step("tell", 0, 0, 0)
        await story.begin(0, 0, 0)
        await set_clock(valkey, START_MS + HOLD_MS)  # what a dead gateway had not settled ends
        await scripts["reap"]([KEY], [])
        posted, held, holds, count, *_ = await scripts["audit"]([KEY], [])  # type: ignore[misc]
        assert (int(posted), int(held), int(holds), count) == (story.posted, 0, 0, 0)  # type: ignore[call-overload]

    runner.run(play())
