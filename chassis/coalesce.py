"""Many small calls made one: what gathers while a call is on the wire leaves together when that call is back.

The same idea as a database's group commit. Alone, an item leaves at once; under load one call carries many, so the cost
of an item falls as load rises, and nothing ever waits on a timer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from chassis.errors import CapstanError, Reason, unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class Coalescer(Generic[Item, Result]):
    """Puts items through `send`, one call at a time, at most `max_batch` of them in a call.

    `send` answers one result per item, in the items' order. A result that is an exception is raised to that item's
    waiter alone. When `send` itself raises, the items of that call fail with what it raised, and the next call goes out
    as if nothing had been. `send` must have a deadline of its own: that bounds the wait of everybody behind it.

    It runs in a task of its own, apart from every waiter: a waiter that is cancelled before its item left takes the
    item along; afterwards the call goes on for the others and that item's result is dropped. So what must reach the
    other side whatever becomes of the client is submitted from a task that the client cannot cancel.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_batch: int = 1000,
        max_waiting: int = 10_000,
    ) -> None:
        self._send = send
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: dict[asyncio.Future[Result], Item] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting_count(self) -> int:
        """Items that have not left yet."""
        return len(self._waiting)

    async def submit(self, item: Item) -> Result:
        """Answer the result of `item`.

        Raises:
            CapstanError: OVERLOADED when `max_waiting` items have not left yet; UNAVAILABLE after `close`.
            Exception: what `send` raised, or answered for this item.
        """
        if self._closed:
            raise unavailable("coalescer", "closed")
        if len(self._waiting) >= self._max_waiting:
            raise CapstanError(Reason.OVERLOADED, "too many calls wait to leave", retry_after_ms="1000")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting[future] = item
        if self._task is None:
            # An empty context: the call belongs to many requests, so to no single request's span.
            self._task = asyncio.get_running_loop().create_task(self._run(), name="coalescer", context=Context())
        try:
            return await future
        finally:
            self._waiting.pop(future, None)

    async def close(self, grace_s: float = 5.0) -> None:
        """Take nothing more and wait for what was taken; after `grace_s` the rest fails with UNAVAILABLE."""
        self._closed = True
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=grace_s)
            for task in late:
                task.cancel()
                await asyncio.wait([task])

    async def _run(self) -> None:
        batch: list[asyncio.Future[Result]] = []
        try:
            while self._waiting:
                batch = list(itertools.islice(self._waiting, self._max_batch))
                _settle(batch, await self._answers([self._waiting.pop(future) for future in batch]))
        except asyncio.CancelledError:
            _settle(left := [*batch, *self._waiting], [unavailable("coalescer", "closed")] * len(left))
            raise
        finally:
            self._task = None

    async def _answers(self, items: list[Item]) -> Sequence[Result | Exception]:
        try:
            answers = await self._send(items)
        except Exception as error:
            return [error] * len(items)
        if len(answers) != len(items):
            wrong = CapstanError(Reason.INTERNAL, f"{len(answers)} results for {len(items)} items")
            return [wrong] * len(items)
        return answers


def _settle(futures: Sequence[asyncio.Future[Result]], answers: Sequence[Result | Exception]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():
            continue  # its waiter was cancelled
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
