"""Money in the scripts is what a plain account says, however reservations, settlements and time are interleaved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.valkey import Valkey, connect
from tests.integration.ratelimit.by_hand import by_hand, set_clock

START_MS = 1_800_000_000_000
HOLD_MS = 60_000
MOST = 9 * 10**15
KEY = "{rl:o}:money:org-1:p"


@dataclass
class Account:
    """The definition: what is posted, and the holds with their ends."""

    cap: int
    now_ms: int = START_MS
    posted: int | None = None
    holds: dict[int, tuple[int, int]] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)

    @property
    def level(self) -> int:
        return (self.posted or 0) + sum(amount for amount, _ in self.holds.values())

    def reserve(self, which: int, amount: int, seed: int | None, floor: int, granted: bool) -> list[int]:
        self.reap()
        if seed is not None and self.posted is None:
            self.posted = seed
        if self.posted is not None:
            self.posted = max(self.posted, floor)
        wait = 0
        if which not in self.known and not granted:
            wait = -2 if self.posted is None else 0 if self.level + amount <= self.cap else -1
        if wait == 0 and which not in self.known:
            self.known.add(which)
            self.open.add(which)
            if amount:
                self.holds[which] = (amount, self.now_ms + HOLD_MS)
        return [int(wait != 0), wait, self.level, 0, int(wait != 0)]

    def reap(self) -> int:
        ended = [one for one, hold in self.holds.items() if hold[1] <= self.now_ms]
        for one in ended:
            del self.holds[one]
        return len(ended)

    def lose(self) -> None:
        """Valkey was lost."""
        self.posted = None
        for one in (self.holds, self.known, self.open):
            one.clear()

    def audit(self) -> list[object]:
        held = str(sum(amount for amount, _ in self.holds.values())).encode()
        first = min((end for _, end in self.holds.values()), default=0)
        posted = b"" if self.posted is None else str(self.posted).encode()
        return [posted, held, held, len(self.holds), str(first).encode(), str(self.now_ms).encode()]

    def settle(self, which: int, actual: int) -> int:
        self.known.add(which)
        if which not in self.open:
            return 0
        self.open.discard(which)
        self.holds.pop(which, None)
        if self.posted is not None:
            self.posted = min(self.posted + actual, MOST)
        return 1


@pytest.fixture(scope="module")
def stage(valkey_url: str) -> Iterator[tuple[asyncio.Runner, Valkey]]:
    """A loop of its own, because Hypothesis calls plain functions many times."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        valkey = runner.run(stack.enter_async_context(connect(valkey_url, timeout_s=30)))
        yield runner, valkey
        runner.run(stack.aclose())


amounts = st.integers(0, 400) | st.sampled_from([1000, 10**15, MOST])
ids = st.integers(0, 12)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("reserve"), ids, amounts, st.none() | amounts, amounts, st.sampled_from([False] * 5 + [True])
        ),
        st.tuples(st.just("settle"), ids, amounts),
        st.tuples(st.just("reap")),
        st.sampled_from([("wait", HOLD_MS)] * 4 + [("lose",)]),
        st.tuples(st.just("wait"), st.integers(0, 2 * HOLD_MS)),
    ),
    min_size=1,
    max_size=40,
)


@given(cap=st.sampled_from([0, 1000, MOST]), what=steps)
def test_posted_and_held_are_what_the_account_says(
    stage: tuple[asyncio.Runner, Valkey], cap: int, what: list[tuple[Any, ...]]
) -> None:
    runner, valkey = stage
    reserve, settle = valkey.script(by_hand("reserve")), valkey.script(by_hand("settle"))
    reap, audit = valkey.script(by_hand("reap")), valkey.script(by_hand("audit"))

    async def play() -> None:
        await valkey.command("FLUSHDB")
        await set_clock(valkey, START_MS)
        account = Account(cap)
        for name, *arguments in what:
            if name == "wait":
                account.now_ms += arguments[0]
                await set_clock(valkey, account.now_ms)
                continue
            if name == "lose":
                await valkey.command("FLUSHDB")
                await set_clock(valkey, account.now_ms)
                account.lose()
                continue
            if name == "reap":
                assert await reap([KEY], []) == account.reap()
                continue
            key = f"{{rl:o}}:reservation:{arguments[0]}"
            if name == "settle":
                expected: object = account.settle(*arguments)
                answer = await settle([key], [0, arguments[1], 600_000])
            else:
                _, amount, seed, floor, granted = arguments
                expected = account.reserve(*arguments)
                charge = ["money", "r", cap, cap, amount, "" if seed is None else seed, floor]
                answer = await reserve([key, KEY], [HOLD_MS, 600_000, int(granted), *charge])
            assert answer == expected, (name, arguments)
            assert await audit([KEY], []) == account.audit()

    runner.run(play())
