"""Statements, checked against their lines and the events below them."""

from __future__ import annotations

from chassis.postgres import Connection
from services.billing.finding import Finding

_TOTALS = """
select count(*) as looked_at, count(*) filter (
        where total_nanousd <> coalesce(lines.amount, 0) + coalesce(corrected.amount, 0)) as wrong
from billing.invoices as invoice
    left join lateral (
        select sum(amount_nanousd) as amount from billing.invoice_lines where invoice_id = invoice.invoice_id
    ) as lines on true
    left join lateral (
        select sum(amount_nanousd) as amount from billing.invoice_corrections
            join billing.corrections using (correction_id)
        where invoice_id = invoice.invoice_id
    ) as corrected on true
"""

# Of each month that a statement speaks of: never more than its events, and exactly those that were there.
_MONTHS = """
select count(*) as looked_at, count(*) filter (where told.amount > used.amount or told.requests > used.requests)
    as wrong, coalesce(sum(used.amount - told.amount), 0)::bigint as waiting
from (
    select line.organization_id, line.period, sum(amount_nanousd) as amount, sum(request_count) as requests
    from billing.invoice_lines as line group by 1, 2
) as told cross join lateral (
    select coalesce(sum(amount_nanousd), 0) as amount, count(*) as requests from billing.usage_events as event
    where event.organization_id = told.organization_id
        and to_char(start_time at time zone 'UTC', 'YYYY-MM') = told.period
) as used
"""

_ENTERED = """
select count(*) as wrong from (
    select 'grant/' || grant_id as transaction_id, -amount_nanousd as amount, 'prepaid' as account
    from billing.credit_grants
    union all
    select 'correction/' || correction_id, amount_nanousd, 'receivable' from billing.corrections
) as wanted full join (
    select transaction_id, account, amount_nanousd as amount from billing.ledger_entries
    where transaction_id like '%/%' and account in ('prepaid', 'receivable')
) as entered using (transaction_id, account)
where wanted.amount is distinct from entered.amount
"""


async def invoices_add_up(connection: Connection) -> tuple[Finding, ...]:
    """Compare statements with their lines, with the months they speak of, and other entries with their legs."""
    totals = await connection.fetchrow(_TOTALS)
    months = await connection.fetchrow(_MONTHS)
    entered = await connection.fetchrow(_ENTERED)
    assert totals is not None
    assert months is not None
    assert entered is not None
    return (
        Finding(
            "I10",
            totals["wrong"] == 0 and months["wrong"] == 0,
            "statements add up to the events of their months",
            f"{totals['looked_at']} statements, {totals['wrong']} wrong; {months['looked_at']} months, "
            f"{months['wrong']} told too much of, {months['waiting']:,} nano-dollars wait for the next",
        ),
        Finding(
            "I4",
            entered["wrong"] == 0,
            "each grant and correction has exactly its one transaction",
            f"{entered['wrong']} differ",
        ),
    )
