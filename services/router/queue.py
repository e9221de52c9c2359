"""Who is next, of those that wait for one model. Pure: times are arguments.

Between classes the more urgent goes first, and waiting makes urgent: each `ageing_s` of its oldest request lifts a
class by one, so none starves. Within a class tenants share by start-time fair queueing (Goyal, Vin and Cheng, 1996): a
request's turn comes when its tenant's earlier ones have had theirs, measured in tokens, so a tenant with a thousand
requests delays another's first by one of them and not by a thousand.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from chassis.errors import CapstanError, Reason
from services.router.placement import Request
from services.router.replicas import Replica

WINDOW_S = 10.0
FORGOTTEN_AFTER_S = 60.0
FEWEST_TURNS = 3


class ServiceClass(enum.IntEnum):
    """How urgent a request is; less is sooner."""

    PRIORITY = 0
    DEFAULT = 1
    FLEX = 2
    BATCH = 3


@dataclass(eq=False, slots=True)
class Waiting:
    """A request that waits. `settle` is called once: with its place, or with why it gets none."""

    request: Request
    tenant: str
    service_class: ServiceClass
    arrived_at: float
    expires_at: float
    settle: Callable[[Replica | CapstanError], None]
    tag: float = 0.0
    gone: bool = False


class TurnRate:
    """How many turns a second there are while somebody waits: the mean of about the last ten seconds of waiting."""

    def __init__(self) -> None:
        self._turns = 0.0
        self._seconds = 0.0
        self._at = -math.inf

    def pause(self, now: float) -> None:
        """Nobody waited until now."""
        if now - self._at > FORGOTTEN_AFTER_S:
            self._turns = self._seconds = 0.0
        self._at = now

    def note(self, turns: int, now: float) -> None:
        """So many had their turn since the last note or pause."""
        passed = max(0.0, now - self._at)
        kept = math.exp(-passed / WINDOW_S)
        self._turns = self._turns * kept + turns
        self._seconds = self._seconds * kept + passed
        self._at = now

    @property
    def per_s(self) -> float | None:
        """Turns per second; None when too few were seen to tell."""
        return self._turns / self._seconds if self._turns >= FEWEST_TURNS and self._seconds > 0 else None


@dataclass(slots=True)
class _Line:
    """One class."""

    virtual: float = 0.0
    """Tag of the last that had its turn."""
    finishes: dict[str, float] = field(default_factory=dict)
    """Tag at which a tenant's next request starts, if it is later."""
    heap: list[tuple[float, int, Waiting]] = field(default_factory=list)
    arrivals: dict[int, Waiting] = field(default_factory=dict)
    """In the order of arrival."""

    @property
    def oldest_at(self) -> float:
        return next(iter(self.arrivals.values())).arrived_at


class AdmissionQueue:
    """Those that wait for one model."""

    def __init__(self, *, capacity: int, ageing_s: float) -> None:
        """`capacity`: most that wait. `ageing_s`: seconds that lift a class by one."""
        self._capacity = capacity
        self._ageing_s = ageing_s
        self._lines = {each: _Line() for each in ServiceClass}
        self._order = itertools.count()
        self._numbers: dict[Waiting, int] = {}
        self.tokens = 0
        """Of all that wait."""
        self.rate = TurnRate()

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._numbers)

    def join(self, waiting: Waiting, now: float) -> None:
        """Let one wait. When there is no room the last of a less urgent class has to go, or of a tenant with more here.

        Raises `CapstanError` OVERLOADED when there is none, or the wait is sure to be longer than it may be.
        """
        if not self._numbers:
            self.rate.pause(now)
        line = self._lines[waiting.service_class]
        waiting.tag = max(line.virtual, line.finishes.get(waiting.tenant, 0.0))
        wait_s = self.estimate_s(waiting, now)
        if wait_s is not None and now + wait_s > waiting.expires_at:
            raise self.overloaded(wait_s)
        if len(self._numbers) >= self._capacity:
            self._shed(waiting, wait_s)
        number = self._numbers[waiting] = next(self._order)
        line.finishes[waiting.tenant] = waiting.tag + max(1, waiting.request.tokens)
        heapq.heappush(line.heap, (waiting.tag, number, waiting))
        line.arrivals[number] = waiting
        self.tokens += waiting.request.tokens

    def leave(self, waiting: Waiting) -> None:
        """Let one go; one that is not there is ignored."""
        number = self._numbers.pop(waiting, None)
        if number is None:
            return
        waiting.gone = True
        self.tokens -= waiting.request.tokens
        line = self._lines[waiting.service_class]
        del line.arrivals[number]
        if not line.arrivals:
            self._lines[waiting.service_class] = _Line()

    def turns(self, now: float) -> Generator[Waiting, None, None]:
        """Answer those that wait in the order of their turns. Each may be taken or let go before the next is asked for.

        Close it when done: until then the others are not in their places.
        """
        passed_over: list[tuple[_Line, tuple[float, int, Waiting]]] = []
        try:
            while (line := self._foremost(now)) is not None:
                entry = heapq.heappop(line.heap)
                if entry[2].gone:
                    continue
                passed_over.append((line, entry))
                yield entry[2]
        finally:
            for line, entry in passed_over:
                if not entry[2].gone:
                    heapq.heappush(line.heap, entry)

    def take(self, waiting: Waiting) -> None:
        """Give one its turn."""
        line = self._lines[waiting.service_class]
        line.virtual = max(line.virtual, waiting.tag)
        if len(line.finishes) > self._capacity:
            line.finishes = {each: tag for each, tag in line.finishes.items() if tag > line.virtual}
        self.leave(waiting)

    def overdue(self, now: float) -> list[Waiting]:
        """Answer those that may not wait longer."""
        return [each for each in self._numbers if each.expires_at <= now]

    def estimate_s(self, waiting: Waiting, now: float) -> float | None:
        """Estimate how long one would wait that joined now, seconds; None when nobody can tell."""
        rate = self.rate.per_s
        if rate is None:
            return None
        ahead = 0
        for service_class, line in self._lines.items():
            if not line.arrivals:
                continue
            if service_class is waiting.service_class:
                ahead += sum(each.tag <= waiting.tag for each in line.arrivals.values())
            elif self._urgency(service_class, line, now) < waiting.service_class:
                ahead += len(line.arrivals)
        return (ahead + 1) / rate

    def overloaded(self, wait_s: float | None) -> CapstanError:
        """Make the refusal that says when asking again makes sense: when what waits now will have had its turn."""
        rate = self.rate.per_s
        if wait_s is None and rate is not None:
            wait_s = len(self._numbers) / rate
        retry_after_ms = 1000 if wait_s is None else round(1000 * min(60.0, max(1.0, wait_s)))
        return CapstanError(Reason.OVERLOADED, "the queue is full", retry_after_ms=str(retry_after_ms))

    def _foremost(self, now: float) -> _Line | None:
        open_lines = [(each, line) for each, line in self._lines.items() if line.heap and line.arrivals]
        if not open_lines:
            return None
        return min(open_lines, key=lambda entry: self._urgency(entry[0], entry[1], now))[1]

    def _urgency(self, service_class: ServiceClass, line: _Line, now: float) -> float:
        return service_class - math.floor((now - line.oldest_at) / self._ageing_s)

    def _shed(self, waiting: Waiting, wait_s: float | None) -> None:
        for lesser in reversed(ServiceClass):
            line = self._lines[lesser]
            if lesser < waiting.service_class or not line.arrivals:
                continue
            last = max(line.arrivals.values(), key=lambda each: each.tag)
            # Of its own class only who would be served later: else one tenant could keep all others out.
            if lesser > waiting.service_class or last.tag > waiting.tag:
                self.leave(last)
                last.settle(self.overloaded(None))
                return
        raise self.overloaded(wait_s)
