"""Ratelimit's meters of budgets, checked: their holds add up, and they have what is posted here.

A meter has what was settled at once, and the books have it when it was shipped, a moment later; so a meter may be ahead
for as long as that takes. It may be behind by what billing settled for a dead gateway, or what was used while nothing
bound it: the next reservation raises it. Ahead for good it must never be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from chassis.tenancy import Tenancy
from services.billing.evidence import Meter
from services.billing.finding import Finding
from services.billing.reaches import VERIFY

PATIENCE_MS = 60_000
"""How long after its end a hold may still be there."""

SHIPPING_S, LOOK_S = 10.0, 0.5
"""How long what a meter has may take to be shipped, and how often that is looked at."""

# Of a credit what was taken back is still used: so much more credit there is.
_POSTED = """
select coalesce(case
        when asked.period_id = 'credit' then
            (select receivable_nanousd from billing.accounts where organization_id = asked.subject_id)
                - coalesce((select sum(amount_nanousd) from billing.corrections
                    where organization_id = asked.subject_id and amount_nanousd < 0), 0)
        else (select amount_nanousd from billing.spending as spent
            where (spent.organization_id, spent.period) = (asked.organization_id, asked.period_id)
                and spent.project_id
                    = case when asked.subject_id = asked.organization_id then '' else asked.subject_id end)
    end, 0)::bigint as posted
from unnest($1::text[], $2::text[], $3::text[]) with ordinality
    as asked(organization_id, subject_id, period_id, place)
order by asked.place
"""


async def meters_agree(
    tenancy: Tenancy, meters: Sequence[Meter] | None, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> tuple[Finding, Finding]:
    """Check meters that were read before this is called."""
    held = "what is held is the sum of the holds, and none is there a minute after its end"
    posted = "no meter has more than is posted"
    if meters is None:
        nothing = "not looked at: no file of meters (--meters, from `python -m services.ratelimit audit --json`)"
        return Finding("I3", None, held, nothing), Finding("I3", None, posted, nothing)
    return _holds(held, meters), await _posted(posted, tenancy, meters, sleep)


def _holds(statement: str, meters: Sequence[Meter]) -> Finding:
    unequal = sum(meter.held_nanousd != meter.holds_nanousd for meter in meters)
    stale = sum(0 < meter.first_end_ms < meter.time_ms - PATIENCE_MS for meter in meters)
    amount = sum(meter.held_nanousd for meter in meters)
    return Finding(
        "I3",
        not unequal and not stale,
        statement,
        f"{len(meters)} budgets, {unequal} do not add up, {stale} with holds that ended; {amount:,} nano-dollars held",
    )


async def _posted(
    statement: str, tenancy: Tenancy, meters: Sequence[Meter], sleep: Callable[[float], Awaitable[object]]
) -> Finding:
    known = [meter for meter in meters if meter.posted_nanousd is not None]
    waited_s = 0.0
    while True:
        ahead, behind = await _apart(tenancy, known)
        if not ahead or waited_s >= SHIPPING_S:
            break
        await sleep(LOOK_S)
        waited_s += LOOK_S
    return Finding(
        "I3",
        not ahead,
        statement,
        f"{len(known)} budgets, {len(ahead)} ahead by {sum(ahead):,} nano-dollars, {len(behind)} behind by "
        f"{sum(behind):,}, which their next request makes good",
    )


async def _apart(tenancy: Tenancy, known: Sequence[Meter]) -> tuple[list[int], list[int]]:
    columns = (
        [meter.organization_id for meter in known],
        [meter.subject_id for meter in known],
        [meter.period_id for meter in known],
    )
    async with tenancy.entered("", VERIFY, snapshot=True) as connection:
        rows = await connection.fetch(_POSTED, *columns)
    ahead, behind = [], []
    for meter, row in zip(known, rows, strict=True):
        apart = (meter.posted_nanousd or 0) - row["posted"]
        if apart > 0:
            ahead.append(apart)
        elif apart < 0:
            behind.append(-apart)
    return ahead, behind
