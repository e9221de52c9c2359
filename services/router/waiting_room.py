"""Where requests wait that found no capacity: one queue per model, looked at whenever something may have changed."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass

from chassis.clock import Clock
from chassis.errors import CapstanError, Reason
from services.router.placement import Placements, Request
from services.router.queue import AdmissionQueue, ServiceClass, Waiting
from services.router.replicas import Kind, Replica

LOOK_INTERVAL_S = 0.1
"""How long a change that nobody tells (a trial is due, a request is overdue) may stay unseen."""

MOST_PASSED_OVER = 8
"""Requests that cannot use the replicas which have room, and are passed over for others, in one look."""


@dataclass(frozen=True, slots=True)
class QueueRules:
    """Bounds of the queues."""

    capacity: int = 1024
    """Requests that wait for one model at the most."""
    ageing_s: float = 10.0
    """Seconds of waiting that make a class as urgent as the next."""


class WaitingRoom:
    """All queues, by model and kind of work."""

    def __init__(self, placements: Placements, rules: QueueRules, clock: Clock) -> None:
        self._placements = placements
        self._rules = rules
        self._clock = clock
        self._queues: dict[tuple[str, Kind], AdmissionQueue] = {}
        self._waiting_count = 0

    def __len__(self) -> int:
        return self._waiting_count

    def tokens(self, model: str) -> int:
        """Tokens that wait for a served model."""
        return sum(queue.tokens for (name, _), queue in self._queues.items() if name == model)

    def is_waited_in(self, model: str) -> bool:
        """Say whether somebody waits for a served model."""
        return any(queue for (name, _), queue in self._queues.items() if name == model)

    def counts(self) -> dict[str, dict[ServiceClass, int]]:
        """Requests that wait, by served model and class."""
        found: dict[str, dict[ServiceClass, int]] = {}
        for (model, _), queue in self._queues.items():
            counts = found.setdefault(model, dict.fromkeys(ServiceClass, 0))
            for waiting in queue:
                counts[waiting.service_class] += 1
        return found

    def place(self, request: Request) -> Replica:
        """Place a request at once, unless others wait for the same. Raises `CapstanError` as `Placements.place`."""
        if self._waiting_count:
            queue = self._queues.get((self._placements.queue(request), request.kind))
            if queue and request.request_id not in self._placements:
                refusal = queue.overloaded(None)
                raise CapstanError(Reason.NO_CAPACITY, "others wait", model=request.model, **refusal.metadata)
        return self._placements.place(request, self._clock.monotonic())

    async def wait(self, request: Request, tenant: str, service_class: ServiceClass, max_wait_s: float) -> Replica:
        """Place a request when its turn has come.

        Raises `CapstanError`: OVERLOADED when the queue is full or the time is up or is sure not to suffice, and what
        `Placements.place` raises: NO_CAPACITY only for a request that every replica has failed. Whoever cancels this
        leaves the queue.
        """
        now = self._clock.monotonic()
        if self._placements.is_hopeless(request):
            raise CapstanError(
                Reason.NO_CAPACITY, "every replica failed it", model=request.model, retry_after_ms="1000"
            )
        key = (self._placements.queue(request), request.kind)
        queue = self._queues.get(key) or self._queues.setdefault(key, self._empty())
        turn: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()

        def settle(outcome: Replica | CapstanError) -> None:
            if turn.done():
                return
            if isinstance(outcome, CapstanError):
                turn.set_exception(outcome)
            else:
                turn.set_result(outcome)

        waiting = Waiting(request, tenant, service_class, now, now + max_wait_s, settle)
        queue.join(waiting, now)
        self._count()
        self._look_at(queue, now)
        try:
            return await turn
        except BaseException:
            queue.leave(waiting)
            self._count()
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._placements.withdraw(request.request_id, self._clock.monotonic())
            raise

    def look(self) -> None:
        """Let go on whoever can: called when a replica may have room."""
        if self._waiting_count:
            now = self._clock.monotonic()
            for queue in self._queues.values():
                if queue:
                    self._look_at(queue, now)

    async def keep_looking(self) -> None:
        """Look for what nobody tells. Meant to be a background task."""
        while True:
            await self._clock.sleep(LOOK_INTERVAL_S)
            self.look()

    def _look_at(self, queue: AdmissionQueue, now: float) -> None:
        for waiting in queue.overdue(now):
            queue.leave(waiting)
            waiting.settle(queue.overloaded(None))
        placed = passed_over = 0
        with closing(queue.turns(now)) as turns:
            for waiting in turns:
                try:
                    replica = self._placements.place(waiting.request, now)
                except CapstanError as error:
                    if error.reason is not Reason.NO_CAPACITY:
                        queue.leave(waiting)
                        waiting.settle(error)
                    elif passed_over < MOST_PASSED_OVER and self._placements.is_choosy(waiting.request):
                        passed_over += 1
                    else:
                        break
                else:
                    queue.take(waiting)
                    waiting.settle(replica)
                    placed += 1
        queue.rate.note(placed, now)
        self._count()

    def _empty(self) -> AdmissionQueue:
        return AdmissionQueue(capacity=self._rules.capacity, ageing_s=self._rules.ageing_s)

    def _count(self) -> None:
        self._waiting_count = sum(map(len, self._queues.values()))
