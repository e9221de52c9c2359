"""What arrives for one request until its client takes it: bounded, and as small as its text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from capstan.inference.v1 import inference_pb2
from capstan.usage.v1 import usage_pb2
from chassis.errors import CapstanError, Reason, from_failure
from services.gateway.deltas import Usage
from services.gateway.refusals import REFUSALS

News = tuple[int, inference_pb2.Delta]
"""The base of the slot's choices, and a delta."""

JOINED_FROM = 64
"""Deltas that wait before they are joined: few enough to cost nothing, and more than a client that reads ever has."""

BEGUN = "begun"
"""Metadata of a broken session on which the replica had answered: what it ran may be what broke it."""

MOST_JOINED_TOKENS = 256
"""What stands for so many tokens is joined no further, or a long answer would be put together again and again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request waits for its replica, seconds, and how much text may wait for its client, bytes."""

    first_token_s: float
    idle_s: float
    request_s: float
    buffer_bytes: int


class Runner(Protocol):
    """Where slots run."""

    @property
    def begun(self) -> bool: ...  # noqa: D102

    def abort(self, slot: int) -> None: ...  # noqa: D102


class Inbox:
    """What arrived for one request and was not taken yet.

    A request may run in several slots (one per prompt); their choices are numbered through by each slot's base.
    """

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._news: list[News] = []
        self._join_at = JOINED_FROM
        self._waiter: asyncio.Future[None] | None = None
        self._waiting_since = now
        self._deadline = now + patience.request_s
        self._buffered_bytes = 0
        self._failure: CapstanError | None = None
        self._open_slots: dict[int, Runner] = {}
        self._ended = asyncio.Event()
        self._begun = False
        self.usage = Usage()
        """Sum over the slots that have ended."""
        self.untold = False
        """Whether a slot ended without a word about what it used, so that there is more than `usage` says."""

    def attach(self, slot: int, runner: Runner) -> None:
        """Expect deltas of `slot`."""
        self._open_slots[slot] = runner

    @property
    def finished(self) -> bool:
        """True when every slot ended well and all was taken."""
        return not self._open_slots and not self._news and self._failure is None

    @property
    def begun(self) -> bool:
        """True when news was taken."""
        return self._begun

    @property
    def untouched(self) -> bool:
        """Whether every slot was refused, so that no engine has counted anything."""
        return not self._open_slots and not self.untold and not self.usage.total_tokens

    async def take(self, now: float) -> list[News]:
        """Answer all news, waiting for some; empty when there will be none. Each comes with its slot's base choice.

        Raises `CapstanError` when the request failed and all that arrived before was taken.
        """
        while not self._news:
            if self._failure is not None:
                raise self._failure
            if not self._open_slots:
                return []
            self._waiting_since = now
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        news, self._news = self._news, []
        self._buffered_bytes = 0
        self._join_at = JOINED_FROM
        self._begun = True
        return news

    def deliver(self, slot: int, base: int, delta: inference_pb2.Delta) -> bool:
        """Take one delta in; answer whether it was the slot's last."""
        is_refused = False
        if delta.HasField("failure"):
            error = from_failure(delta.failure)
            self.fail(error)
            is_refused, last = error.reason in REFUSALS, True
        else:
            self._news.append((base, delta))
            self._buffered_bytes += len(delta.text)
            if len(self._news) >= self._join_at:
                self._join()
            # One delta alone may be of any size: an echoed prompt is.
            if self._buffered_bytes > self._patience.buffer_bytes and len(self._news) > 1:
                self.fail(
                    CapstanError(Reason.DEADLINE_EXCEEDED, "the client does not read its stream", service="client")
                )
            last = delta.HasField("finish")
        if last:
            if delta.finish.HasField("usage"):
                self._add(delta.finish.usage)
            else:
                self.untold |= not is_refused
            self._open_slots.pop(slot, None)
            if not self._open_slots:
                self._ended.set()
        self._wake()
        return last

    def _join(self) -> None:
        self._news = joined(self._news)
        self._join_at = len(self._news) + JOINED_FROM
        self._buffered_bytes = sum(delta.ByteSize() for _, delta in self._news)

    def _add(self, usage: usage_pb2.TokenUsage) -> None:
        self.usage = Usage(
            self.usage.prompt_tokens + usage.prompt_tokens,
            self.usage.cached_prompt_tokens + usage.cached_prompt_tokens,
            self.usage.completion_tokens + usage.completion_tokens,
            self.usage.reasoning_tokens + usage.reasoning_tokens,
        )

    def fail(self, error: CapstanError) -> None:
        """End the request with `error`; what runs is aborted. Only the first failure counts."""
        if self._failure is None:
            self._failure = error
        self.abort()
        self._wake()

    def abort(self) -> None:
        """Stop what still runs on the replicas; its usage is still collected when it comes."""
        for slot, runner in list(self._open_slots.items()):
            runner.abort(slot)

    def lost(self, slot: int, error: CapstanError) -> None:
        """The slot's session broke: nothing more will come of it."""
        self._open_slots.pop(slot, None)
        self.untold |= BEGUN in error.metadata
        if self._failure is None:
            self._failure = error
        if not self._open_slots:
            self._ended.set()
        self._wake()

    def sweep(self, now: float, deaf_s: float = 0.0) -> None:
        """Fail when the replica has been silent, or the request has lived, too long.

        `deaf_s`: for how long nobody here listened since the last sweep, which is no silence of the replica's.
        """
        self._waiting_since += deaf_s
        if now > self._deadline:
            self.fail(
                CapstanError(Reason.DEADLINE_EXCEEDED, "the request ran too long", service="inference", limit="request")
            )
        elif self._waiter is not None and not self._news:
            patience = self._patience.idle_s if self._begun else self._patience.first_token_s
            if now - self._waiting_since > patience:
                self.fail(CapstanError(Reason.DEADLINE_EXCEEDED, "no token came in time", service="inference"))

    @property
    def unheard(self) -> bool:
        """Whether there is no sign that any replica was reached."""
        answered = self._begun or self._news or self.untold or self.usage.total_tokens
        return not answered and not any(runner.begun for runner in self._open_slots.values())

    async def ended(self, within_s: float) -> bool:
        """Wait until no slot is open; answer whether that was so in time, so that `usage` is the engine's own."""
        if not self._open_slots:
            return True
        try:
            async with asyncio.timeout(within_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Run:
    """Deltas of one choice that can be told as one."""

    def __init__(self, base: int, first: inference_pb2.Delta) -> None:
        self._base = base
        self._deltas = [first]
        self._tokens = first.token_count
        self._spoke = bool(first.text)

    def takes(self, delta: inference_pb2.Delta) -> bool:
        """Whether it is the same told with `delta` at its end: a thought comes before text, and calls have an order."""
        last = self._deltas[-1]
        apart = last.tool_calls or last.finish_reason or delta.tool_calls or delta.finish_reason
        return not apart and self._tokens < MOST_JOINED_TOKENS and not (self._spoke and delta.reasoning)

    def add(self, delta: inference_pb2.Delta) -> None:
        self._deltas.append(delta)
        self._tokens += delta.token_count
        self._spoke = self._spoke or bool(delta.text)

    def told(self) -> News:
        """The one that says it all. It is new: a delta keeps its whole frame, with everybody's, in memory."""
        whole = inference_pb2.Delta()
        whole.CopyFrom(self._deltas[0])
        if len(self._deltas) > 1:
            whole.text = "".join(delta.text for delta in self._deltas)
            whole.reasoning = "".join(delta.reasoning for delta in self._deltas)
            whole.token_count = self._tokens
            for delta in self._deltas[1:]:
                whole.logprobs.extend(delta.logprobs)
        return self._base, whole


def joined(news: Iterable[News]) -> list[News]:
    """Tell the same in fewer deltas; each choice keeps its order."""
    runs: list[_Run] = []
    latest: dict[tuple[int, int], _Run] = {}
    for base, delta in news:
        run = latest.get((base, delta.choice))
        if run is not None and run.takes(delta):
            run.add(delta)
        else:
            run = latest[base, delta.choice] = _Run(base, delta)
            runs.append(run)
    return [run.told() for run in runs]
