"""One gateway's session: its slots, and the frames that wait for it.

A session ends in three ways: the gateway closes it or goes away; the gateway does not read; or it was drained and has
nothing left to tell. The first two abort whatever still runs for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from capstan.inference.v1 import inference_pb2
from chassis.errors import CapstanError, Reason
from services.inference.adapter_shelf import AdapterShelf, Brought
from services.inference.answer import Answer, Tally
from services.inference.engine import Delta, Engine, FinishReason
from services.inference.errors import EngineError
from services.inference.failures import RETRY_AFTER_MS, capstan_error
from services.inference.frames import Frames
from services.inference.preparation import Preparation, Prepared
from services.inference.tokenizer import NoChatTemplateError, TemplateRefusedError
from services.inference.wire import Asked, read_start
from services.inference.witness import Witness


class Observer(Protocol):
    """Who hears how requests went."""

    def request_ended(self, tally: Tally, began: float, now: float) -> None:
        """A request ended; times are monotonic seconds."""

    def frame_sent(self, deltas: int) -> None:
        """A frame was handed to the transport."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a session."""

    waiting_deltas: int
    """Deltas that may wait for a gateway that does not read."""
    write_s: float
    """Time a frame may take to be written."""
    inline_characters: int
    """Prompts up to this length are tokenized on the event loop."""
    preparing: int
    """Long prompts of all sessions that may be tokenized, or adapters waited for, at once."""


@dataclass(slots=True)
class Shared:
    """What all sessions of a process share."""

    engine: Engine
    adapters: AdapterShelf
    preparation: Preparation
    limits: Limits
    observer: Observer
    now: Callable[[], float]
    new_call_id: Callable[[], str]
    log: logging.Logger
    request_ids: set[str]
    """Of requests that run, whoever's."""
    witness: Witness | None = None
    """Who tells billing what was counted."""
    preparing: int = 0
    draining: bool = False
    used_at: float = field(init=False)
    """When there was last something to do, as `now` has it; each request says so, and `tend` while some run."""

    def __post_init__(self) -> None:
        self.use()

    def use(self) -> None:
        """Note that there is something to do."""
        self.used_at = self.now()


@dataclass(slots=True)
class _Slot:
    """A request of this session."""

    answer: Answer
    began: float
    asked: Asked | None = None
    deadline: float = math.inf
    owns_id: bool = False
    """Whether the request's id is among those that run."""
    preparing: asyncio.Task[None] | None = None
    adapter: Brought | None = None
    """What it holds on the shelf."""


class Session:
    """The requests that one gateway runs here. All methods are called from the event loop."""

    def __init__(self, shared: Shared, cut_off: Callable[[], object]) -> None:
        """`cut_off` ends the stream from outside, for a gateway that does not read it."""
        self._shared = shared
        self._cut_off = cut_off
        self._wake = asyncio.Event()
        self._frames = Frames(self._wake.set, limit=shared.limits.waiting_deltas)
        self._slots: dict[int, _Slot] = {}
        self._writing_since: float | None = None
        self._closed = False
        self._leaving = False
        self._error: CapstanError | None = None

    @property
    def slots(self) -> int:
        """Requests that have not ended."""
        return len(self._slots)

    @property
    def generated(self) -> int:
        """Tokens that those were given so far."""
        return sum(slot.answer.tally.generated for slot in self._slots.values())

    def start(self, start: inference_pb2.Start) -> None:
        """Run a request. What is wrong with it becomes its slot's failure.

        Raises CapstanError when the gateway breaks the rules of the session, which ends it.
        """
        if start.slot in self._slots:
            raise CapstanError(Reason.INVALID_ARGUMENT, "the slot is in use", param="slot")
        shared = self._shared
        shared.use()
        answer = Answer(start.slot, self._frames, self._ended, shared.now, shared.new_call_id)
        slot = self._slots[start.slot] = _Slot(answer, shared.now())
        try:
            if shared.draining:
                raise _stopping()
            asked = slot.asked = read_start(start)
            if asked.request_id in shared.request_ids:
                raise CapstanError(Reason.INVALID_ARGUMENT, "the id is in use", param="request_id")
            shared.request_ids.add(asked.request_id)
            slot.owns_id = True
            if asked.time_left_s is not None:
                slot.deadline = slot.began + asked.time_left_s
            missing = False
            if asked.adapter is not None:
                shared.adapters.hold(asked.adapter)
                slot.adapter = asked.adapter
                missing = bool(asked.adapter.path) and not shared.adapters.has(asked.adapter)
            if asked.weight <= shared.limits.inline_characters and not missing:
                self._submit(answer, shared.preparation.prepare(asked))
            else:
                self._prepare_apart(slot, asked)
        except (EngineError, CapstanError, NoChatTemplateError, TemplateRefusedError) as error:
            answer.refuse(capstan_error(error))
        except Exception as error:  # one request must not stop the reading of all others
            shared.log.exception("a request could not be started", extra={"request_id": start.request_id})
            answer.refuse(capstan_error(error))

    def abort(self, number: int) -> None:
        """Stop a slot's request; it ends with what it has. Unknown slots are ignored."""
        if (slot := self._slots.get(number)) is None or slot.asked is None:
            return
        if slot.preparing is not None:
            slot.preparing.cancel()
            slot.answer.push(Delta(0, "", 0, FinishReason.ABORT))
        else:
            self._shared.engine.abort(slot.asked.request_id)

    def tend(self, now: float) -> None:
        """End what is overdue; break the session when it is not read. Called several times a second."""
        if self._slots:
            self._shared.used_at = now
        for slot in [slot for slot in self._slots.values() if slot.deadline <= now]:
            self._expire(slot)
        stalled = self._writing_since is not None and now - self._writing_since > self._shared.limits.write_s
        if (stalled or self._frames.overflowed) and not self._closed:
            self._shared.log.warning("a session is not read and is cut off", extra={"count": len(self._slots)})
            self.close()
            self._cut_off()
        if self._shared.draining and not self._slots:
            self._wake.set()

    def dismiss(self) -> None:
        """End all that runs because the replica stops, in words by which a gateway goes on elsewhere."""
        for slot in list(self._slots.values()):
            slot.answer.refuse(_stopping())
            self._stop(slot)

    def leave(self) -> None:
        """The gateway will ask nothing more: the stream ends when all that runs has ended."""
        self._leaving = True
        self._wake.set()

    def fail(self, error: CapstanError) -> None:
        """The gateway broke the rules: the stream ends with this error."""
        self._error = error
        self._wake.set()

    def close(self) -> None:
        """The stream is over: abort all that runs. Doing it twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        for slot in list(self._slots.values()):
            slot.answer.abandon()
            self._stop(slot)

    async def frames(self) -> AsyncIterator[inference_pb2.SessionResponse]:
        """Yield frames as there is news, until the session is over. Raises what `fail` was told."""
        yield inference_pb2.SessionResponse()
        while self._error is None and not self._closed:
            if not self._frames.waiting:
                if not self._slots and (self._leaving or self._shared.draining):
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            deltas = self._frames.waiting
            self._writing_since = self._shared.now()
            yield self._frames.take()
            self._writing_since = None
            self._shared.observer.frame_sent(deltas)
        if self._error is not None:
            raise self._error

    def _submit(self, answer: Answer, prepared: Prepared) -> None:
        request = prepared.request
        answer.expect(request.sampling.choices, len(request.prompt), prepared.reading, request.continued)
        self._shared.engine.submit(request, answer)

    def _prepare_apart(self, slot: _Slot, asked: Asked) -> None:
        """Tokenize in another thread, and load an adapter, so that other requests' tokens do not wait for it."""
        if self._shared.preparing >= self._shared.limits.preparing:
            raise CapstanError(Reason.OVERLOADED, "too many long preparations", retry_after_ms=RETRY_AFTER_MS)
        self._shared.preparing += 1
        slot.preparing = asyncio.get_running_loop().create_task(self._prepare(slot, asked), name=asked.request_id)
        slot.preparing.add_done_callback(self._prepared)  # a task that is cancelled early never runs its `finally`

    async def _prepare(self, slot: _Slot, asked: Asked) -> None:
        try:
            prepared = await asyncio.to_thread(self._shared.preparation.prepare, asked)
            if asked.adapter is not None and asked.adapter.path and not self._shared.adapters.has(asked.adapter):
                await self._shared.adapters.load(asked.adapter)
        except (EngineError, NoChatTemplateError, TemplateRefusedError) as error:
            slot.answer.refuse(capstan_error(error))
        except Exception as error:
            self._shared.log.exception("a prompt could not be prepared", extra={"request_id": asked.request_id})
            slot.answer.refuse(capstan_error(error))
        else:
            slot.preparing = None
            self._submit(slot.answer, prepared)

    def _prepared(self, _: object) -> None:
        self._shared.preparing -= 1

    def _expire(self, slot: _Slot) -> None:
        slot.answer.cut(
            CapstanError(Reason.DEADLINE_EXCEEDED, "the request's time is up", service="inference", limit="request")
        )
        self._stop(slot)

    def _stop(self, slot: _Slot) -> None:
        """Let the engine forget a request whose answer has ended."""
        if slot.preparing is not None:
            slot.preparing.cancel()
        elif slot.asked is not None:
            self._shared.engine.abort(slot.asked.request_id)

    def _ended(self, answer: Answer) -> None:
        slot = self._slots.pop(answer.slot)
        if slot.adapter is not None:
            self._shared.adapters.give_back(slot.adapter)
        if slot.owns_id and slot.asked is not None:
            self._shared.request_ids.discard(slot.asked.request_id)
            if self._shared.witness is not None:
                self._shared.witness.ended(slot.asked.request_id, slot.asked.admission, answer.tally)
        self._shared.observer.request_ended(answer.tally, slot.began, self._shared.now())


def _stopping() -> CapstanError:
    return CapstanError(Reason.UNAVAILABLE, "the replica is stopping", service="inference", stopping="true")
