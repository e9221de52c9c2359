"""Calls that wait for the processor, and how they share it.

The encoder reads its weights once per batch, so windows of several calls in one batch cost less than one by one. Calls
take turns, a window each: a sentence waits for one batch at most, not for the book that came before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chassis.errors import CapstanError, Reason, unavailable
from services.moderation.categories import CATEGORIES
from services.moderation.classifier import Window
from services.moderation.weights import Array

Judge = Callable[[Sequence[Window]], Awaitable[Array]]
"""Windows to scores, shape (windows, categories)."""


@dataclass(slots=True, eq=False)
class Call:
    """One call: its windows before `begun` are judged or being judged, `finished` of them are judged.

    `waiting` counts the tokens of those that are not begun.
    """

    windows: Sequence[Window]
    scores: Array
    done: asyncio.Future[None]
    waiting: int
    begun: int = 0
    finished: int = 0


class Batches:
    """Puts windows through `judge`, one batch at a time.

    A batch has at most `batch_tokens` tokens, or one window. A call is refused when others have more than
    `waiting_tokens` tokens that would be judged before its own last one: with turns, of each other call no more than
    the call has itself. So a small call is not refused because of a large one, and one that finds nobody waiting is
    always taken; how large a call may be is for the caller to bound.
    """

    def __init__(self, judge: Judge, *, batch_tokens: int, waiting_tokens: int) -> None:
        self._judge = judge
        self._batch_tokens = batch_tokens
        self._most_waiting = waiting_tokens
        self._turns: deque[Call] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting_tokens(self) -> int:
        """Tokens that are not yet being judged."""
        return sum(call.waiting for call in self._turns)

    async def scores(self, windows: Sequence[Window]) -> Array:
        """Judge `windows`, in order; shape (windows, categories). A call that is cancelled leaves the queue.

        Raises:
            CapstanError: OVERLOADED when too much waits already; UNAVAILABLE when the service stops meanwhile.
            Exception: what `judge` raised.
        """
        tokens = sum(map(len, windows))
        if sum(min(call.waiting, tokens) for call in self._turns) > self._most_waiting:
            raise CapstanError(Reason.OVERLOADED, "too much text waits to be judged", retry_after_ms="1000")
        scores = np.empty((len(windows), len(CATEGORIES)), np.float32)
        if not windows:
            return scores
        call = Call(windows, scores, asyncio.get_running_loop().create_future(), tokens)
        self._turns.append(call)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="moderation batches")
        try:
            await call.done
        finally:
            self._withdraw(call)
        return scores

    async def close(self) -> None:
        """Refuse what waits and let the batch that is being judged end: a thread cannot be interrupted."""
        for call in list(self._turns):
            self._fail(call, unavailable("moderation", "stopping"))
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._turns:
                await self._judged(self._next())
        finally:
            self._task = None

    async def _judged(self, batch: list[tuple[Call, int]]) -> None:
        try:
            scores = await self._judge([call.windows[place] for call, place in batch])
        except Exception as error:
            for call, _ in batch:
                self._fail(call, error)
            return
        for (call, place), row in zip(batch, scores, strict=True):
            call.scores[place] = row
            call.finished += 1
            if call.finished == len(call.windows) and not call.done.done():
                call.done.set_result(None)

    def _next(self) -> list[tuple[Call, int]]:
        """Begin the windows of the next batch: the calls they belong to and their places there."""
        batch: list[tuple[Call, int]] = []
        tokens = 0
        while self._turns:
            call = self._turns[0]
            size = len(call.windows[call.begun])
            if batch and tokens + size > self._batch_tokens:
                break
            batch.append((call, call.begun))
            tokens += size
            call.waiting -= size
            call.begun += 1
            self._turns.popleft()
            if call.begun < len(call.windows):
                self._turns.append(call)
        return batch

    def _fail(self, call: Call, error: Exception) -> None:
        self._withdraw(call)
        if not call.done.done():
            call.done.set_exception(error)

    def _withdraw(self, call: Call) -> None:
        """Forget what of a call has not begun."""
        if call.begun < len(call.windows):
            call.begun = len(call.windows)
            self._turns.remove(call)
