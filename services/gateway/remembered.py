"""Answers of a peer that are good for a while, and better than none for longer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from chassis.errors import CapstanError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Entry(Generic[Value]):
    value: Value
    since: float


class Remembered(Generic[Key, Value]):
    """Asks once for each key, however many wait.

    An answer younger than `fresh_s` is given as it is; younger than `usable_s`, as it is while it is asked for anew; an
    older one only when the peer does not answer. After a failure the peer is left alone for `pause_s`.
    """

    def __init__(
        self,
        ask: Callable[[Key], Awaitable[Value]],
        monotonic: Callable[[], float],
        *,
        fresh_s: float,
        usable_s: float,
        pause_s: float = 1.0,
        capacity: int = 10_000,
    ) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._fresh_s = fresh_s
        self._usable_s = usable_s
        self._pause_s = pause_s
        self._capacity = capacity
        self._entries: OrderedDict[Key, _Entry[Value]] = OrderedDict()
        self._asking: dict[Key, asyncio.Task[Value]] = {}
        self._failed: tuple[float, CapstanError] | None = None

    async def get(self, key: Key) -> Value:
        """Answer for `key`. Raises `CapstanError` when the peer does not and never did."""
        entry = self._entries.get(key)
        age = self._monotonic() - entry.since if entry is not None else float("inf")
        if entry is not None and age < self._fresh_s:
            return entry.value
        if self._failed is not None and self._monotonic() < self._failed[0]:
            if entry is not None:
                return entry.value
            raise self._failed[1]
        task = self._task(key)
        if entry is not None and age < self._usable_s:
            return entry.value
        try:
            return await asyncio.shield(task)
        except CapstanError:
            if entry is not None:
                return entry.value
            raise

    def _task(self, key: Key) -> asyncio.Task[Value]:
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._asked(key), name="remember")
            # Nobody may be waiting any more, and that is no mistake.
            task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        return task

    async def _asked(self, key: Key) -> Value:
        try:
            value = await self._ask(key)
        except CapstanError as error:
            self._failed = (self._monotonic() + self._pause_s, error)
            raise
        finally:
            del self._asking[key]
        self._failed = None
        self._entries[key] = _Entry(value, self._monotonic())
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return value

    def age(self) -> None:
        """Give no answer again without having asked, unless the peer does not answer."""
        for entry in self._entries.values():
            entry.since = float("-inf")

    async def close(self) -> None:
        """Stop asking."""
        for task in list(self._asking.values()):
            task.cancel()
            await asyncio.wait([task])
