"""The requests that hold a reservation and have not been settled: what renewals and settlements need of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from services.gateway.charges import Charge, MeterId


@dataclass(slots=True)
class Held:
    """One request."""

    request_id: str
    organization_id: str
    charges: Sequence[Charge]
    since_ms: int
    """When it was charged."""
    hold_ms: int
    """How long money is held for it."""
    asked: bool = False
    """Ratelimit may know of it."""
    unanswered: bool = False
    """It was asked and did not answer in time: what it has taken nobody here knows."""
    own: bool = False
    """Charged to the gateway's own meters."""
    leased: bool = False
    """Charged to the gateway's own meters, and to ratelimit as a running request since it is back."""
    made: bool = False
    """Let in; before, its reservation is on its way."""
    tokens: Callable[[], int] = field(default=lambda: 0)
    """Tokens used so far."""
    project_id: str = ""
    exposed_nanousd: int = 0
    """Of its money, what was counted as served on trust."""


class Running:
    """Held requests by id, and how many of them there are of each meter of running requests.

    Not bounded by itself: each request is taken out when it ends, and the edge bounds how many there are.
    """

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._counts: Counter[MeterId] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._held.values()))

    def get(self, request_id: str) -> Held | None:
        """Find a request."""
        return self._held.get(request_id)

    def begin(self, held: Held) -> None:
        """Take a request in whose reservation is on its way."""
        self._held[held.request_id] = held

    def made(self, held: Held) -> None:
        """Its reservation is made: from now on it counts."""
        held.made = True
        self._counts.update(_meters(held))

    def end(self, request_id: str) -> Held | None:
        """Take a request out; None: there is no such one."""
        held = self._held.pop(request_id, None)
        if held is not None and held.made:
            self._counts.subtract(_meters(held))
            for meter in _meters(held):
                if not self._counts[meter]:
                    del self._counts[meter]
        return held

    def count(self, meter: MeterId) -> int:
        """How many requests of that meter are under way here."""
        return self._counts[meter]


def _meters(held: Held) -> list[MeterId]:
    return [charge.meter for charge in held.charges if charge.dimension == "concurrent_requests"]
