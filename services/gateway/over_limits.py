"""Who is over a limit, and until when: asked before ratelimit is, so that whoever hammers costs one call and no more.

The levels of meters are remembered as they were told, and drained as they drain there. A request that does not fit into
a remembered level would be refused there too: others can only have filled it further. What a settlement may have
emptied refuses for a second only, and nothing is told again after a minute.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from services.gateway.charges import DAYS, RATES, TOKENS, Charge, MeterId
from services.gateway.levels import Day, Level, Rate
from services.gateway.standings import RateLimited, Standing, meters, refusal

REFUNDABLE_MS = 1000
"""How long a token meter refuses from memory: answers end and give back, also to other gateways."""

TOLD_MS = 60_000
"""How long a level is told to clients from memory."""

CAPACITY = 10_000


@dataclass(slots=True)
class _Told:
    level: Level
    refuses_until_ms: int
    told_until_ms: int


class OverLimits:
    """Bounded; the meter longest without an answer is forgotten first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._told: OrderedDict[MeterId, _Told] = OrderedDict()

    def __len__(self) -> int:
        return len(self._told)

    def check(self, charges: Sequence[Charge], now_ms: int) -> None:
        """Raise `RateLimited` when it is certain that ratelimit would refuse and all that it would tell is known."""
        if not self._told:
            return
        standings: list[Standing] = []
        longest, refused = 0, None
        for charge in charges:
            if not _is_told(charge):
                continue
            told = self._told.get(charge.meter)
            if told is None or told.told_until_ms <= now_ms:
                return
            told.level.pass_to(now_ms)
            standings.append(Standing(charge, max(0, charge.cap - told.level.used), told.level.reset_ms))
            wait_ms = told.level.wait_ms(charge.cost) if now_ms < told.refuses_until_ms else 0
            if wait_ms > longest:
                longest, refused = wait_ms, (charge, told.level.used)
        if refused is not None:
            raise RateLimited(refusal(*refused, longest), meters(standings))

    def learn(self, standings: Sequence[Standing], now_ms: int) -> None:
        """Remember how meters stand."""
        for standing in standings:
            if _is_told(standing.charge):
                self._told[standing.charge.meter] = _told(standing, now_ms)
                self._told.move_to_end(standing.charge.meter)
        while len(self._told) > self._capacity:
            self._told.popitem(last=False)

    def level(self, meter: MeterId, now_ms: int) -> Level | None:
        """How full a meter is at the least, as far as that is remembered."""
        told = self._told.get(meter)
        if told is None:
            return None
        told.level.pass_to(now_ms)
        return told.level

    def settled(self, charges: Sequence[Charge]) -> None:
        """Forget what a settlement changes."""
        for charge in charges:
            if charge.dimension in TOKENS:
                self._told.pop(charge.meter, None)


def _is_told(charge: Charge) -> bool:
    """Whether clients are told of its meter. Running requests and money come and go too fast to be remembered."""
    return charge.kind is not None


def _told(standing: Standing, now_ms: int) -> _Told:
    charge, used = standing.charge, standing.charge.cap - standing.remaining
    level: Level
    if charge.dimension in RATES:
        level = Rate.told(charge.limit, charge.cap, now_ms, standing.reset_ms, used)
    else:
        assert charge.dimension in DAYS
        level = Day(charge.limit, now_ms + standing.reset_ms, now_ms, used)
    refuses_ms = REFUNDABLE_MS if charge.dimension in TOKENS else TOLD_MS
    return _Told(level, now_ms + refuses_ms, now_ms + TOLD_MS)
