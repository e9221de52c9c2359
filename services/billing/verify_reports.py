"""The roll-ups that reports are made of, checked against the events below them."""

from __future__ import annotations

from chassis.postgres import Connection
from services.billing import sql
from services.billing.finding import Finding

_ROLLED = """
with counted as (
    select {rollup} from billing.usage_events group by 1, 2, 3, 4, 5, 6, 7, 8, 9
), wanted({columns}) as (select * from counted)
select (select count(*) from billing.usage_{unit}s) as looked_at, count(*) as wrong
from (
    (select {columns} from wanted except select {columns} from billing.usage_{unit}s)
    union all
    (select {columns} from billing.usage_{unit}s except select {columns} from wanted)
) as different
"""


async def rollups_agree(connection: Connection) -> Finding:
    """Compare both roll-ups, row by row, with what the events add up to."""
    looked_at = wrong = 0
    for unit in ("minute", "day"):
        statement = _ROLLED.format(
            unit=unit, rollup=sql.ROLLUP.format(unit=unit), columns=", ".join((*sql.DIMENSIONS, *sql.MEASURES))
        )
        row = await connection.fetchrow(statement)
        assert row is not None
        looked_at += row["looked_at"]
        wrong += row["wrong"]
    return Finding(
        "I2", wrong == 0, "reports add up to the events", f"{looked_at} minutes and days, {wrong} rows differ"
    )
