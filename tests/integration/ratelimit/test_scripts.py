"""The scripts inside Valkey compute what arithmetic.py says, to the last unit, with its clock turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chassis.valkey import Reply, Valkey, connect
from services.ratelimit.arithmetic import LONGEST_MS, NEVER, WINDOW_MS, Meter
from services.ratelimit.store import script_text
from tests.integration.ratelimit.by_hand import by_hand, set_clock

START_MS = 1_800_000_000_000
DAY_MS = 86_400_000
TO_MIDNIGHT_MS = DAY_MS - START_MS % DAY_MS
EXACT_WAITS_TO = 10**11


CAPS = {3: 50}
"""Burst percent of meters whose cap is not their limit."""

FLAGS = ["p", "s", "r", "r", "", "r"]
"""Meters 0 and 1 count requests a minute (0 penalizes, 1 is a shadow), 2 and 3 tokens a minute; 4 counts requests a day
and 5 tokens."""


def cap_of(meter: int, limit: int) -> int:
    return max(min(limit, 1), limit * CAPS.get(meter, 100) // 100)


@dataclass
class Charged:
    """What a reservation may have to change."""

    meter: int
    cost: int
    event: int


@dataclass
class Day:
    """A count of one day."""

    limit: int
    number: int = 0
    count: int = 0

    @property
    def used(self) -> int:
        return self.count

    def wait_ms(self, cost: int, reset_ms: int) -> int:
        if cost == 0 or self.count + cost <= self.limit:
            return 0
        return NEVER if cost > self.limit else reset_ms


@dataclass
class Model:
    """Meters and limits as the scripts know them."""

    limits: list[int]
    now_ms: int = START_MS
    meters: list[Meter] = field(default_factory=list)
    days: dict[int, Day] = field(default_factory=dict)
    reservations: dict[int, list[Charged] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.meters = [Meter(limit, cap=cap_of(place, limit)) for place, limit in enumerate(self.limits[:4])]
        self.days = {4: Day(self.limits[4], self.today), 5: Day(self.limits[5], self.today)}

    @property
    def today(self) -> int:
        return self.now_ms // DAY_MS

    @property
    def midnight_ms(self) -> int:
        return (self.today + 1) * DAY_MS - self.now_ms

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        for meter in self.meters:
            meter.drain(ms)
        for day in self.days.values():
            if day.number != self.today:
                day.number, day.count = self.today, 0

    def _wait_ms(self, meter: int, cost: int) -> int:
        if meter in self.days:
            return self.days[meter].wait_ms(cost, self.midnight_ms)
        return self.meters[meter].wait_ms(cost)

    def _state(self, meter: int) -> tuple[int, int]:
        if meter in self.days:
            return self.days[meter].used, self.midnight_ms
        return self.meters[meter].used, self.meters[meter].reset_ms()

    def _judge(self, costs: list[tuple[int, int]]) -> tuple[int, int, list[int]]:
        waits = [self._wait_ms(meter, cost) for meter, cost in costs]
        refusing = [0 if "s" in FLAGS[meter] else wait for (meter, _), wait in zip(costs, waits, strict=True)]
        longest = NEVER if NEVER in refusing else max(refusing)
        return (refusing.index(longest) + 1 if longest else 0), longest, waits

    def reserve(self, which: int, costs: list[tuple[int, int]], granted: bool = False) -> list[int]:
        place, longest, waits = 0, 0, [0] * len(costs)
        known = which in self.reservations
        if not known and not granted:
            place, longest, waits = self._judge(costs)
        if place:
            for meter, _ in costs:
                if "p" in FLAGS[meter]:
                    self.meters[meter].penalize()
            place, longest, waits = self._judge(costs)
        elif not known:
            fitting = [one for one, wait in zip(costs, waits, strict=True) if wait == 0]
            charged = [self._charge(meter, cost) for meter, cost in fitting]
            self.reservations[which] = [one for one in charged if "r" in FLAGS[one.meter]]
        reply = [place, longest]
        for (meter, _), wait in zip(costs, waits, strict=True):
            reply += [*self._state(meter), int(wait != 0)]
        return reply

    def _charge(self, place: int, cost: int) -> Charged:
        event = 0
        if place in self.days:
            self.days[place].count += cost
            event = self.today if cost else 0
        elif cost:
            if "r" in FLAGS[place]:
                event = self.meters[place].begin_event(self.now_ms * 1000)
            self.meters[place].charge(cost)
        return Charged(place, cost, event)

    def settle(self, which: int, tokens: int) -> int:
        charges = self.reservations.get(which)
        self.reservations[which] = None
        if charges is None:
            return 0
        for charged in charges:
            self._change(charged, tokens)
        return 1

    def renew(self, which: int, tokens: int) -> int:
        for charged in self.reservations.get(which) or ():
            if tokens > charged.cost:
                self._change(charged, tokens)
                charged.cost = tokens
        return int(which in self.reservations)

    def _change(self, charged: Charged, tokens: int) -> None:
        more = tokens - charged.cost
        if charged.meter in self.days:
            if charged.event == self.today:
                day = self.days[charged.meter]
                day.count = max(0, day.count + more)
            return
        meter = self.meters[charged.meter]
        if more < 0:
            meter.give_back(charged.event, -more, self.now_ms * 1000)
        elif more > 0 and meter.limit:
            meter.begin_event(self.now_ms * 1000)
            meter.charge(more)


@dataclass
class Played:
    """The same calls, to Valkey."""

    valkey: Valkey
    limits: list[int]

    def __post_init__(self) -> None:
        self.scripts = {name: self.valkey.script(by_hand(name)) for name in ("reserve", "settle", "renew")}

    async def set_clock(self, now_ms: int) -> None:
        await set_clock(self.valkey, now_ms)

    async def reserve(self, which: int, costs: list[tuple[int, int]], granted: bool = False) -> Reply:
        keys = [f"{{rl:o}}:reservation:{which}", *(f"{{rl:o}}:meter:{meter}" for meter, _ in costs)]
        arguments: list[str | int] = [60_000, 60_000, int(granted)]
        for meter, cost in costs:
            limit = self.limits[meter]
            arguments += ["day" if meter >= 4 else "rate", FLAGS[meter], limit, cap_of(meter, limit), cost, "", 0]
        return await self.scripts["reserve"](keys, arguments)

    async def settle(self, which: int, tokens: int) -> Reply:
        return await self.scripts["settle"]([f"{{rl:o}}:reservation:{which}"], [tokens, 0, 60_000])

    async def renew(self, which: int, tokens: int) -> Reply:
        return await self.scripts["renew"]([f"{{rl:o}}:reservation:{which}"], [tokens, 60_000])


@pytest.fixture(scope="module")
def stage(valkey_url: str) -> Iterator[tuple[asyncio.Runner, Valkey]]:
    """A loop of its own, because Hypothesis calls plain functions many times."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        valkey = runner.run(stack.enter_async_context(connect(valkey_url, timeout_s=30)))
        yield runner, valkey
        runner.run(stack.aclose())


limits = st.sampled_from([0, 1, 3, 60, 1000, 59_999, 60_000, 60_001, 10**9, 10**12 - 1, 10**12]) | st.integers(
    0, 10**12
)
# Shares of a limit and of a minute meet at the edges (full, empty, drained to the instant); integers do the rest.
amounts = st.sampled_from([Fraction(n, 4) for n in (0, 1, 2, 3, 4, 5)]) | st.integers(0, 2000) | st.just(10**12)
waits = st.sampled_from([0, 1, 15_000, 30_000, 45_000, 60_000]) | st.integers(0, 120_000) | st.just(DAY_MS)
charges = st.dictionaries(st.integers(0, 5), amounts, max_size=4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), waits),
        st.tuples(st.just("reserve"), st.integers(0, 9), amounts, charges, st.sampled_from([False] * 4 + [True])),
        st.tuples(st.just("settle"), st.integers(0, 9), amounts),
        st.tuples(st.just("renew"), st.integers(0, 9), amounts),
    ),
    min_size=1,
    max_size=40,
)


def units(amount: Fraction | int, limit: int) -> int:
    return int(amount * limit) if isinstance(amount, Fraction) else amount


def resolved(step: tuple[Any, ...], bounds: list[int]) -> tuple[Any, ...]:
    """The step in units; every reservation charges meter 2, so that much happens there."""
    match step:
        case ("reserve", which, amount, others, *granted):
            costs = {**others, 2: amount}
            return "reserve", which, [(meter, units(cost, bounds[meter])) for meter, cost in costs.items()], *granted
        case ("settle" | "renew", which, amount):
            return step[0], which, units(amount, bounds[2])
    return step


LOOK: list[Any] = [("reserve", 1000, 0, {})]
TWO_REFUNDS: list[Any] = [
    *[("reserve", 0, 500, {}), ("reserve", 1, 500, {}), ("wait", 45_000), ("reserve", 2, 750, {})],
    *[("settle", 0, 0), *LOOK, ("settle", 1, 0), *LOOK],
]
MORE_STEPS_THAN_MARKS: list[Any] = [
    *[step for n in range(40) for step in (("reserve", n, 20 + n % 7, {}), ("wait", 1 + n % 5))],
    *[step for n in range(0, 80, 2) for step in (("settle", n % 41, 0), *LOOK)],
]
HAMMERING: list[Any] = [
    *[("reserve", 0, 0, {0: 60, 1: 60}), *[("reserve", n, 0, {0: 1, 1: 1}) for n in range(1, 250)]],
    *[("wait", 1000), ("reserve", 900, 0, {0: 1, 1: 1}), ("reserve", 901, 0, {0: 61}), ("reserve", 902, 0, {1: 61})],
]
UP_TO_THE_CAP: list[Any] = [
    *[("reserve", 0, 0, {0: 59}), ("wait", 7), *[("reserve", n, 0, {0: 1}) for n in range(1, 10)]],
]
ACROSS_MIDNIGHT: list[Any] = [
    *[("reserve", 0, 0, {4: 5, 5: 300}), ("reserve", 1, 0, {4: 5, 5: 300}), ("reserve", 2, 0, {5: 300})],
    *[("renew", 0, 400), ("settle", 2, 100), ("wait", DAY_MS), ("reserve", 3, 0, {4: 5, 5: 300})],
    *[("renew", 0, 500), ("settle", 0, 0), ("settle", 3, 700), ("reserve", 4, 0, {5: 1})],
]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(bounds=[60, 60, 1000, 1000, 9, 9], what=TWO_REFUNDS)
@example(bounds=[60, 60, 1000, 1000, 9, 9], what=MORE_STEPS_THAN_MARKS)
@example(bounds=[60, 60, 1000, 1000, 9, 9], what=HAMMERING)
@example(bounds=[59, 60, 1000, 1000, 9, 9], what=UP_TO_THE_CAP)
@example(bounds=[60, 60, 1000, 1000, 9, 900], what=ACROSS_MIDNIGHT)
@given(bounds=st.lists(limits, min_size=6, max_size=6), what=steps)
def test_every_answer_is_the_definitions(
    stage: tuple[asyncio.Runner, Valkey], bounds: list[int], what: list[tuple[Any, ...]]
) -> None:
    runner, valkey = stage
    model = Model(bounds)
    played = Played(valkey, bounds)

    async def play() -> None:
        await valkey.command("FLUSHDB")
        for step in what:
            name, *arguments = resolved(step, bounds)
            if name == "wait":
                model.wait(*arguments)
                continue
            await played.set_clock(model.now_ms)
            expected = getattr(model, name)(*arguments)
            assert near(await getattr(played, name)(*arguments), expected, bounds, arguments), (name, arguments)

    runner.run(play())


def near(answer: Reply, expected: list[int] | int, bounds: list[int], arguments: list[Any]) -> bool:
    """Equal; but a wait or reset may be a millisecond off where the limit is beyond 10^11."""
    if answer == expected or not isinstance(answer, list) or not isinstance(expected, list):
        return answer == expected
    rough = any(bounds[meter] > EXACT_WAITS_TO for meter, _ in arguments[1])
    times = {1, *range(3, len(expected), 3)}
    return rough and all(
        abs(int(str(got)) - want) <= (place in times)
        for place, (got, want) in enumerate(zip(answer, expected, strict=True))
    )


async def test_a_meter_whose_clock_was_set_back_goes_on_draining(valkey_url: str) -> None:
    async with connect(valkey_url, timeout_s=30) as valkey:
        await valkey.command("FLUSHDB")
        played = Played(valkey, [0, 0, 60, 0, 9, 0])
        await played.set_clock(START_MS)
        assert await played.reserve(1, [(2, 60), (4, 9)]) == [0, 0, 60, 60_000, 0, 9, TO_MIDNIGHT_MS, 0]
        earlier = START_MS - DAY_MS
        await played.set_clock(earlier)
        assert await played.reserve(2, [(2, 1)]) == [1, 1000, 60, 60_000, 1]
        assert (await played.reserve(2, [(4, 1)]))[0] == 1  # the day does not begin anew
        await played.set_clock(earlier + 30_000)
        assert await played.reserve(3, [(2, 1)]) == [0, 0, 31, 31_000, 0]


async def test_meters_and_reservations_leave_by_themselves(valkey_url: str) -> None:
    async with connect(valkey_url, timeout_s=30) as valkey:
        await valkey.command("FLUSHDB")
        reserve, settle = valkey.script(script_text("reserve")), valkey.script(script_text("settle"))
        rate = ["rate", "r", 60_000, 60_000, 30_000, "", 0]
        await reserve(["{rl:o}:r:1", "{rl:o}:m"], [900_000, 900_000, 0, *rate])
        assert 0 < int(str(await valkey.command("PTTL", "{rl:o}:m"))) <= 30_001
        assert 30_001 < int(str(await valkey.command("PTTL", "{rl:o}:r:1"))) <= 900_000
        assert await settle(["{rl:o}:r:1"], [60_000, 0, 5_000]) == 1
        assert 30_001 < int(str(await valkey.command("PTTL", "{rl:o}:m"))) <= 60_001
        assert 0 < int(str(await valkey.command("PTTL", "{rl:o}:r:1"))) <= 5_000
        await settle(["{rl:o}:r:2"], [1, 0, 5_000])
        assert 0 < int(str(await valkey.command("PTTL", "{rl:o}:r:2"))) <= 5_000
        assert await valkey.command("DBSIZE") == 3


async def test_a_debt_that_would_take_years_is_forgotten_after_a_month(valkey_url: str) -> None:
    async with connect(valkey_url, timeout_s=30) as valkey:
        await valkey.command("FLUSHDB")
        reserve, settle = valkey.script(script_text("reserve")), valkey.script(script_text("settle"))
        await reserve(["{rl:o}:r:1", "{rl:o}:m"], [900_000, 900_000, 0, "rate", "r", 1, 1, 1, "", 0])
        await settle(["{rl:o}:r:1"], [10**12, 0, 5_000])
        assert LONGEST_MS - WINDOW_MS < int(str(await valkey.command("PTTL", "{rl:o}:m"))) <= LONGEST_MS + 1
