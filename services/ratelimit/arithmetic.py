"""What the scripts compute, in exact integers: the definition that scripts/*.lua are tested against.

A meter is a leaky bucket, which is GCRA read differently (ITU-T I.371; Turner 1986): its level drains at `limit` units
a minute, never below empty, and a cost fits if the level stays within the limit. From this follows the promise of the
package: what is admitted in a span of `t` minutes is at most `cap + limit * t`, where `cap` is the limit or, where not
all of it may come at once, a share of it.

Settling less than was reserved must not break that. A refund of the whole difference would: what has drained since
never was there for others, and giving it back admits a second burst. The level is set to what it would be if the true
cost had been charged in the first place. For a bucket that reflects at empty, that is lower by the difference or by the
lowest level since the charge, whichever is less. `marks` remember those lowest levels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW_MS = 60_000
MOST_UNITS = 10**15
LONGEST_MS = 30 * 86_400_000
MOST_MARKS = 16
PENALTY = WINDOW_MS // 1000
NEVER = -1


@dataclass(slots=True)
class Mark:
    """An event's number, and the whole units that were in the meter before it."""

    number: int
    units: int


@dataclass(slots=True)
class Meter:
    """A meter that has been drained up to some time. The level counts 60,000ths of a unit, so that it is integral."""

    limit: int
    level: int = 0
    marks: list[Mark] = field(default_factory=list)
    cap: int = -1
    """The most units that may be in it; -1: the limit."""

    def __post_init__(self) -> None:
        if self.cap < 0:
            self.cap = self.limit

    @property
    def used(self) -> int:
        """Units in it, a begun one counted whole."""
        return -(-self.level // WINDOW_MS)

    def drain(self, ms: int) -> None:
        """Let `ms` pass."""
        self.level = max(0, self.level - self.limit * ms)

    def wait_ms(self, cost: int) -> int:
        """How long until `cost` fits, 0 for at once, or `NEVER`."""
        over = self.level + (cost - self.cap) * WINDOW_MS
        if cost == 0 or over <= 0:
            return 0
        return NEVER if cost > self.cap else -(-over // self.limit)

    def reset_ms(self) -> int:
        """How long until it is empty; after `LONGEST_MS` without a charge it is forgotten."""
        if self.level == 0:
            return 0
        return min(-(-self.level // self.limit), LONGEST_MS) if self.limit else LONGEST_MS

    def begin_event(self, now_us: int) -> int:
        """Answer the number of a new event: the time, or one more than the last where that is not later."""
        number = max(now_us, self.marks[-1].number + 1 if self.marks else 0)
        self.mark(Mark(number, self.level // WINDOW_MS))
        return number

    def mark(self, new: Mark) -> None:
        """Keep `new`, and of the others those that are lower; beyond `MOST_MARKS` the two closest become the lower."""
        while self.marks and self.marks[-1].units >= new.units:
            self.marks.pop()
        self.marks.append(new)
        if len(self.marks) > MOST_MARKS:
            steps = [after.units - before.units for before, after in zip(self.marks, self.marks[1:], strict=False)]
            closest = steps.index(min(steps))
            self.marks[closest + 1].units = self.marks[closest].units
            del self.marks[closest]

    def charge(self, cost: int) -> None:
        """Add `cost` units, also beyond the limit: that is debt."""
        self.level = min(self.level + cost * WINDOW_MS, MOST_UNITS * WINDOW_MS)

    def give_back(self, event: int, units: int, now_us: int) -> None:
        """Make the charge of number `event` smaller by `units`, as if it had been so from the start."""
        self.begin_event(now_us)
        later = [one for one in self.marks if one.number > event]
        given = min(units, later[0].units)
        for one in later:
            one.units -= given
        kept, self.marks = self.marks, []
        for one in kept:
            self.mark(one)
        self.level -= given * WINDOW_MS

    def penalize(self) -> None:
        """Charge a refused request its thousandth of a unit, within the cap: the next unit is never further away."""
        self.level = max(self.level, min(self.level + PENALTY, self.cap * WINDOW_MS))
