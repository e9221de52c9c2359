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
    """What was told and when. Its level is made when somebody looks, because most are told again before that."""

    standing: Standing
    at_ms: int
    made: Level | None = None

    def level(self, now_ms: int) -> Level:
        if self.made is None:
            self.made = _level(self.standing, self.at_ms)
        self.made.pass_to(now_ms)
        return self.made

    def refuses(self, now_ms: int) -> bool:
        tokens = self.standing.charge.dimension in TOKENS
        return now_ms - self.at_ms < (REFUNDABLE_MS if tokens else TOLD_MS)


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
        longest, refused = 0, None
        for charge in charges:
            if charge.cost > charge.cap and not charge.shadow:
                return  # it can never fit, which is another answer
            if charge.kind is None:
                continue
            told = self._told.get(charge.meter)
            if told is None or now_ms - told.at_ms >= TOLD_MS:
                return
            if charge.cost > told.standing.remaining and told.refuses(now_ms):
                level = told.level(now_ms)
                if (wait_ms := level.wait_ms(charge.cost)) > longest:
                    longest, refused = wait_ms, (charge, level.used)
        if refused is not None:
            raise RateLimited(refusal(*refused, longest), meters(self._standings(charges, now_ms)))

    def _standings(self, charges: Sequence[Charge], now_ms: int) -> list[Standing]:
        made = []
        for charge in charges:
            if charge.kind is not None:
                level = self._told[charge.meter].level(now_ms)
                made.append(Standing(charge, max(0, charge.cap - level.used), level.reset_ms))
        return made

    def learn(self, standings: Sequence[Standing], now_ms: int) -> None:
        """Remember how meters stand."""
        for standing in standings:
            # Running requests and money come and go too fast to be remembered.
            if standing.charge.kind is not None:
                self._told[standing.charge.meter] = _Told(standing, now_ms)
                self._told.move_to_end(standing.charge.meter)
        while len(self._told) > self._capacity:
            self._told.popitem(last=False)

    def level(self, meter: MeterId, now_ms: int) -> Level | None:
        """How full a meter is at the least, as far as that is remembered."""
        told = self._told.get(meter)
        return None if told is None else told.level(now_ms)

    def settled(self, charges: Sequence[Charge]) -> None:
        """Forget what a settlement changes."""
        for charge in charges:
            if charge.dimension in TOKENS:
                self._told.pop(charge.meter, None)


def _level(standing: Standing, at_ms: int) -> Level:
    charge, used = standing.charge, standing.charge.cap - standing.remaining
    if charge.dimension in RATES:
        return Rate.told(charge.limit, charge.cap, at_ms, standing.reset_ms, used)
    assert charge.dimension in DAYS
    return Day(charge.limit, at_ms + standing.reset_ms, at_ms, used)
