"""The gateway's own meters, for as long as ratelimit cannot be asked: each gateway keeps to its share of every limit.

All gateways together admit at most the limit, as many of them as there were when they were last counted; what they have
admitted is a debt that is charged when ratelimit is back. A meter begins as full as it was last told to be, so that its
going local is no second burst. A rate's debt is what was let in here and has not drained; a day's is all of it. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from services.gateway.charges import DAYS, RATES, TOKENS, Charge, MeterId
from services.gateway.levels import DAY_MS, Day, Level, Rate
from services.gateway.standings import RateLimited, Standing, meters, refusal

CAPACITY = 10_000
RUNNING_WAIT_MS = 1000


Told = Callable[[MeterId], Level | None]
"""How full a meter was at the least when ratelimit last told of it, drained since."""


@dataclass(slots=True)
class _Own:
    charge: Charge
    level: Level
    inherited: Level
    """What it began with, drained since: that is no debt."""

    def pass_to(self, now_ms: int) -> None:
        self.level.pass_to(now_ms)
        self.inherited.pass_to(now_ms)


class OwnMeters:
    """Bounded; the meter longest without a request is forgotten first."""

    def __init__(self, told: Told = lambda _: None, capacity: int = CAPACITY) -> None:
        self._told = told
        self._capacity = capacity
        self._own: OrderedDict[MeterId, _Own] = OrderedDict()

    def __len__(self) -> int:
        return len(self._own)

    def reserve(
        self, charges: Sequence[Charge], gateways: int, now_ms: int, wall_s: float, running: Callable[[MeterId], int]
    ) -> list[Standing]:
        """Charge all or none, against the share of one of `gateways`; answer how the meters stand.

        `running` says how many requests of a meter of running requests are under way here. A limit that is open, or a
        shadow, is charged and refuses nothing. Raises `RateLimited`.
        """
        longest, refused = 0, None
        levels: list[tuple[Charge, Level]] = []
        for charge in charges:
            if charge.dimension == "concurrent_requests":
                used, wait_ms = running(charge.meter), 0
                if used + charge.cost > share(charge.limit, gateways):
                    wait_ms = RUNNING_WAIT_MS if charge.limit else -1
            elif charge.dimension == "money":
                continue
            else:
                level = self._level(charge, gateways, now_ms, wall_s)
                levels.append((charge, level))
                used, wait_ms = level.used, level.wait_ms(charge.cost)
            if not (charge.shadow or charge.failure_mode == "open") and _worse(wait_ms, longest):
                longest, refused = wait_ms, (charge, used)
        if refused is None:
            for charge, level in levels:
                level.add(charge.cost)
        standings = [Standing(charge, _remaining(level), level.reset_ms) for charge, level in levels]
        if refused is not None:
            raise RateLimited(refusal(*refused, longest), meters(standings))
        return standings

    def _level(self, charge: Charge, gateways: int, now_ms: int, wall_s: float) -> Level:
        own = self._own.get(charge.meter)
        if own is None:
            level = self._first(charge, gateways, now_ms, wall_s)
            own = self._own[charge.meter] = _Own(replace(charge, cost=0), level, replace(level))
            if len(self._own) > self._capacity:
                self._own.popitem(last=False)
        else:
            self._own.move_to_end(charge.meter)
        own.pass_to(now_ms)
        # The share is applied after the time that passed under the one before.
        own.level.limit = own.inherited.limit = share(charge.limit, gateways)
        if isinstance(own.level, Rate):
            own.level.cap = share(charge.cap, gateways)
        return own.level

    def _first(self, charge: Charge, gateways: int, now_ms: int, wall_s: float) -> Level:
        """The level to begin with: the gateway's share of what was in the meter."""
        told = self._told(charge.meter)
        part = share(charge.limit, gateways)
        if charge.dimension in RATES:
            level = told.level * part // charge.limit if isinstance(told, Rate) and charge.limit else 0
            return Rate(part, share(charge.cap, gateways), now_ms, level)
        assert charge.dimension in DAYS
        count = told.count * part // charge.limit if isinstance(told, Day) and charge.limit else 0
        return Day(part, now_ms + DAY_MS - int(wall_s * 1000) % DAY_MS, now_ms, count)

    def settle(self, charges: Sequence[Charge], tokens: int, charged_ms: int, now_ms: int) -> None:
        """Replace the tokens charged at `charged_ms` by those used.

        Of what is given back, all that has drained since is kept: giving it back would admit a second burst.
        """
        for charge in charges:
            own = self._own.get(charge.meter) if charge.dimension in TOKENS else None
            if own is None:
                continue
            own.pass_to(now_ms)
            more = tokens - charge.cost
            if more < 0 and isinstance(own.level, Rate):
                more = min(0, more + -(-(now_ms - charged_ms) * own.level.limit // 60_000))
            own.level.add(more)

    def debts(self, now_ms: int) -> list[Charge]:
        """Answer what is to be charged now that ratelimit is back, and begin anew.

        A meter whose limit changed meanwhile has one debt, under the limit that was heard of last.
        """
        made: dict[tuple[str, str, str, str], Charge] = {}
        for own in self._own.values():
            own.pass_to(now_ms)
            owed = own.level.used - own.inherited.used
            if owed > 0:
                meter = own.charge.meter
                place = (meter.organization_id, meter.dimension, meter.subject_id, meter.model)
                before = made[place].cost if place in made else 0
                made[place] = replace(own.charge, cost=before + owed)
        self._own.clear()
        return list(made.values())


def share(limit: int, gateways: int) -> int:
    """One gateway's part of a limit: never more together than the limit, but never nothing of something."""
    return max(min(limit, 1), limit // max(1, gateways))


def _remaining(level: Level) -> int:
    return max(0, (level.cap if isinstance(level, Rate) else level.limit) - level.used)


def _worse(wait_ms: int, longest: int) -> bool:
    return wait_ms != 0 and longest >= 0 and (wait_ms < 0 or wait_ms > longest)
