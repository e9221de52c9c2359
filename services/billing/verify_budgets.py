"""Spending and limits, checked against the events below them."""

from __future__ import annotations

from chassis.postgres import Connection
from services.billing.finding import Finding

_SPENDING = """
with wanted as (
    select organization_id, scope.project_id, to_char(start_time at time zone 'UTC', 'YYYY-MM') as period,
        sum(amount_nanousd)::bigint as amount_nanousd, count(*) as event_count
    from billing.usage_events as event
        cross join lateral (select '' union select event.project_id) as scope(project_id)
    group by 1, 2, 3
)
select (select count(*) from billing.spending) as looked_at, count(*) as wrong
from (
    (select * from wanted except select * from billing.spending)
    union all
    (select * from billing.spending except select * from wanted)
) as different
"""

# What started since a hard limit was set must fit into what it left: the limit, or nothing when more was spent already.
_OVERRUN = """
select count(*) as looked_at, count(*) filter (where spent.whole > greatest(hard_nanousd, spent.before)) as wrong,
    coalesce(max(spent.whole - greatest(hard_nanousd, spent.before)), 0)::bigint as most
from billing.spend_limits as bound
    cross join lateral (
        select coalesce(sum(amount_nanousd), 0)::bigint as whole,
            coalesce(sum(amount_nanousd) filter (where start_time < bound.set_time), 0)::bigint as before
        from billing.usage_events as event
        where event.organization_id = bound.organization_id and bound.project_id in ('', event.project_id)
            and event.start_time >= date_trunc('month', bound.set_time, 'UTC')
            and event.start_time < date_trunc('month', bound.set_time, 'UTC') + interval '1 month'
    ) as spent
where hard_nanousd is not null
"""

_CREDIT = """
select count(*) as looked_at, count(*) filter (where used.amount > given.amount) as wrong
from billing.payment_terms as terms
    cross join lateral (
        select coalesce(sum(amount_nanousd), 0) as amount from billing.credit_grants
        where organization_id = terms.organization_id
    ) as given
    cross join lateral (
        -- What a correction adds is taken whether there is credit left or not.
        select coalesce(max(receivable_nanousd), 0) - (
            select coalesce(sum(amount_nanousd), 0) from billing.corrections
            where organization_id = terms.organization_id and amount_nanousd > 0) as amount
        from billing.accounts where organization_id = terms.organization_id
    ) as used
where terms.prepaid
    and not exists (  -- what it used before it began to pay in advance was never covered
        select 1 from billing.usage_events as event
        where event.organization_id = terms.organization_id and event.start_time < terms.set_time)
"""


async def budgets_hold(connection: Connection) -> tuple[Finding, ...]:
    """Compare what is spent by month with the events, and with the limits that were in force."""
    spending = await connection.fetchrow(_SPENDING)
    overrun = await connection.fetchrow(_OVERRUN)
    credit = await connection.fetchrow(_CREDIT)
    assert spending is not None
    assert overrun is not None
    assert credit is not None
    return (
        Finding(
            "I2",
            spending["wrong"] == 0,
            "what is posted to a month adds up to its events",
            f"{spending['looked_at']} months of organisations and projects, {spending['wrong']} rows differ",
        ),
        Finding(
            "I9",
            overrun["wrong"] == 0 and credit["wrong"] == 0,
            "nobody spent more than a hard limit or a credit",
            f"{overrun['looked_at']} limits, {overrun['wrong']} overrun by {overrun['most']:,} nano-dollars at most; "
            f"{credit['looked_at']} credits, {credit['wrong']} overrun",
        ),
    )
