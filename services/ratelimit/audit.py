"""How all budgets stand: what is posted and held of each, and whether its holds add up to that.

Budgets are found page by page (SCAN), each is read at once by a script, and nothing is changed. A budget that comes and
goes meanwhile may be missing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from chassis.valkey import Reply, Valkey
from services.ratelimit.calls import BUDGETS, budget_of
from services.ratelimit.store import script_text

PAGE = 500
"""Keys that Valkey looks at in one go."""

PATIENCE_MS = 60_000
"""How long after its end a hold may still be there: it is given back when somebody asks, or by the reaper."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget. Amounts are nano-dollars, times unix milliseconds of Valkey's clock."""

    organization_id: str
    subject_id: str
    period_id: str
    posted_nanousd: int | None
    """None: nobody has told yet."""
    held_nanousd: int
    """As the budget counts."""
    holds_nanousd: int
    """Sum over the single holds."""
    hold_count: int
    first_end_ms: int
    """When the first hold ends; 0: there is none."""
    time_ms: int
    """When it was looked at."""

    @property
    def adds_up(self) -> bool:
        """Whether what is held is the sum of the holds."""
        return self.held_nanousd == self.holds_nanousd

    @property
    def is_stale(self) -> bool:
        """Whether a hold is there that ended long ago."""
        return 0 < self.first_end_ms < self.time_ms - PATIENCE_MS


async def budget_keys(valkey: Valkey, page: int = PAGE) -> AsyncIterator[list[str]]:
    """Yield the keys of all budgets, page by page; one may come twice. Raises `CapstanError` when Valkey is away."""
    cursor: Reply = b"0"
    while True:
        reply = await valkey.command("SCAN", cursor, "MATCH", BUDGETS, "COUNT", page)  # type: ignore[arg-type]
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
            raise TypeError(f"SCAN answered {reply!r}")
        cursor = reply[0]
        found = [budget_of(key.decode()) for key in reply[1] if isinstance(key, bytes)]
        yield sorted({names[0] for names in found if names is not None})
        if cursor == b"0":
            return


async def audit(valkey: Valkey) -> list[BudgetState]:
    """Look at all budgets; answer them in the order of their names. Raises `CapstanError` when Valkey is away."""
    script = valkey.script(script_text("audit"))
    states: dict[str, BudgetState] = {}
    async for keys in budget_keys(valkey):
        replies = await script.many([([key], []) for key in keys])
        states |= {key: _state(key, reply) for key, reply in zip(keys, replies, strict=True)}
    return [states[key] for key in sorted(states)]


def _state(key: str, reply: Reply | Exception) -> BudgetState:
    names = budget_of(key)
    if isinstance(reply, Exception):
        raise reply
    match reply:
        case [bytes(posted), bytes(held), bytes(holds), int(count), bytes(first), bytes(now)] if names is not None:
            known = int(posted) if posted else None
            return BudgetState(*names[1:], known, int(held), int(holds), count, int(first), int(now))
    raise TypeError(f"a script answered {reply!r}")
