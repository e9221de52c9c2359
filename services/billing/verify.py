"""The books, checked: every sum recomputed from the rows below it, every amount from its event.

Reads one snapshot, so it can run while events come in, and changes nothing. What PostgreSQL alone cannot tell is
checked where somebody brings it along (`evidence`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chassis.postgres import Connection
from chassis.tenancy import Tenancy
from services.billing.events import Endpoint, Outcome, UsageEvent
from services.billing.evidence import Evidence
from services.billing.finding import Finding
from services.billing.price_store import price_of
from services.billing.pricing import FREE, FREE_OF_CHARGE, amount_nanousd
from services.billing.reaches import VERIFY
from services.billing.store import DISMISSED
from services.billing.verify_budgets import budgets_hold
from services.billing.verify_invoices import invoices_add_up
from services.billing.verify_journals import journals_move
from services.billing.verify_meters import meters_agree
from services.billing.verify_reports import rollups_agree
from services.billing.verify_told import clients_were_told
from services.billing.verify_witness import witnesses_agree

APPEND_ONLY = (
    "corrections",
    "credit_grants",
    "dead_letters",
    "engine_usage",
    "invoice_corrections",
    "invoice_lines",
    "invoices",
    "ledger_entries",
    "price_versions",
    "usage_events",
)

_UNBALANCED = """
select count(*) as wrong, (select count(distinct transaction_id) from billing.ledger_entries) as looked_at,
    (select coalesce(sum(amount_nanousd), 0) from billing.ledger_entries) as total
from (select 1 from billing.ledger_entries group by transaction_id having sum(amount_nanousd) <> 0) as unbalanced
"""

_DIVERGING = """
with owed as (
    select organization_id, sum(amount_nanousd) as amount from billing.ledger_entries where account = 'receivable'
    group by organization_id
), used as (
    select organization_id, sum(amount_nanousd) as amount, count(*) as events, sum(prompt_tokens) as prompt,
        sum(completion_tokens) as completion
    from billing.usage_events group by organization_id
), corrected as (
    select organization_id, sum(amount_nanousd) as amount from billing.corrections group by organization_id
)
select count(*) filter (
        where coalesce(owed.amount, 0) <> coalesce(used.amount, 0) + coalesce(corrected.amount, 0)
            or coalesce(account.receivable_nanousd, 0) <> coalesce(owed.amount, 0)) as wrong_amounts,
    count(*) filter (
        where coalesce(account.event_count, 0) <> coalesce(used.events, 0)
            or coalesce(account.prompt_tokens, 0) <> coalesce(used.prompt, 0)
            or coalesce(account.completion_tokens, 0) <> coalesce(used.completion, 0)) as wrong_counts,
    count(*) as looked_at, coalesce(sum(used.amount), 0) as total
from used full join owed using (organization_id)
    full join billing.accounts as account using (organization_id)
    left join corrected using (organization_id)
"""

_MISMATCHED = """
select count(*) filter (
        where event.request_id is null or entered.amount <> event.amount_nanousd or entered.legs <> 2
            or entered.organizations <> 1 or entered.organization_id <> event.organization_id) as wrong_legs,
    count(*) filter (where entered.transaction_id is null and event.amount_nanousd <> 0) as without_legs,
    count(event.request_id) as looked_at
from billing.usage_events as event
    full join (
        select transaction_id, count(*) as legs, count(distinct organization_id) as organizations,
            min(organization_id) as organization_id,
            sum(amount_nanousd) filter (where account = 'receivable') as amount
        from billing.ledger_entries where transaction_id not like '%/%' group by transaction_id
    ) as entered on entered.transaction_id = event.request_id
where entered.transaction_id is not null or event.amount_nanousd <> 0
"""

_EVENTS = """
select event.request_id, event.organization_id, event.project_id, event.key_id, event.owner_id, event.model,
    event.endpoint, event.outcome, event.start_time, event.finish_time, event.prompt_tokens,
    event.cached_prompt_tokens, event.completion_tokens, event.reasoning_tokens, event.usage_estimated,
    event.batch, event.service_tier, event.amount_nanousd, price.version, price.model as price_model,
    price.effective_time, price.input_picousd, price.cached_input_picousd, price.output_picousd, price.batch_permille,
    price.tier_names, price.tier_permilles
from billing.usage_events as event
    left join billing.price_versions as price on (price.version, price.model) = (price_version, price_model)
"""

_GUARDS = """
select table_.relname::text as name from pg_trigger as guard
    join pg_class as table_ on table_.oid = guard.tgrelid join pg_namespace as schema on schema.oid = relnamespace
where schema.nspname = 'billing' and guard.tgname = 'append_only' and guard.tgenabled in ('O', 'A')
"""

_PARKED = """
select count(*) filter (where resolved_time is null) as parked,
    min(parked_time) filter (where resolved_time is null) as oldest,
    count(*) filter (where starts_with(resolution, $1)) as dismissed
from billing.dead_letters
"""


async def check(tenancy: Tenancy, told_until: datetime, beside: Evidence) -> list[Finding]:
    """Check all invariants, those of the database on one snapshot. Raises `CapstanError` when PostgreSQL is away.

    What engines told of after `told_until` may still be on its way from the gateways.
    """
    meters = await meters_agree(tenancy, beside.meters)
    async with tenancy.entered("", VERIFY, snapshot=True) as connection:
        return [
            await _legs_sum_to_zero(connection),
            *await _sums_agree(connection),
            await _one_transaction_per_event(connection),
            await rollups_agree(connection),
            *await budgets_hold(connection),
            *await invoices_add_up(connection),
            await _amounts_recompute(connection),
            *await witnesses_agree(connection, told_until),
            await _append_only(connection),
            await _nothing_parked(connection),
            *meters,
            journals_move(beside.journals),
            await clients_were_told(connection, beside.told),
        ]


async def _legs_sum_to_zero(connection: Connection) -> Finding:
    row = await connection.fetchrow(_UNBALANCED)
    assert row is not None
    return Finding(
        "I1",
        row["wrong"] == 0 and row["total"] == 0,
        "the legs of each transaction sum to 0, and so does the ledger",
        f"{row['looked_at']} transactions, {row['wrong']} unbalanced, sum {row['total']}",
    )


async def _sums_agree(connection: Connection) -> tuple[Finding, Finding]:
    row = await connection.fetchrow(_DIVERGING)
    assert row is not None
    return (
        Finding(
            "I2",
            row["wrong_amounts"] == 0,
            "receivables = amounts of events = what accounts say",
            f"{row['looked_at']} organisations, {row['wrong_amounts']} differ, sum {int(row['total']):,} nano-dollars",
        ),
        Finding(
            "I2",
            row["wrong_counts"] == 0,
            "events and tokens are as many as accounts say",
            f"{row['looked_at']} organisations, {row['wrong_counts']} differ",
        ),
    )


async def _one_transaction_per_event(connection: Connection) -> Finding:
    row = await connection.fetchrow(_MISMATCHED)
    assert row is not None
    return Finding(
        "I4",
        row["wrong_legs"] == 0 and row["without_legs"] == 0,
        "each charged event has exactly its one transaction",
        f"{row['looked_at']} charged events, {row['wrong_legs']} with wrong legs, {row['without_legs']} without",
    )


async def _amounts_recompute(connection: Connection) -> Finding:
    looked_at = wrong = 0
    async for row in connection.cursor(_EVENTS, prefetch=5000):
        looked_at += 1
        columns = tuple(row)
        wrong += _recomputed(columns) != row["amount_nanousd"]
    return Finding(
        "I5",
        wrong == 0,
        "each amount follows from its tokens, outcome and price",
        f"{looked_at} events, {wrong} differ",
    )


def _recomputed(columns: tuple[Any, ...]) -> int | None:
    """Price a row of `_EVENTS` again: 17 columns of the event, its amount, 9 of the price, in their fields' order.

    None when it has no price and is not free.
    """
    fields: list[Any] = [*columns[:6], Endpoint(columns[6]), Outcome(columns[7]), *columns[8:17]]
    event = UsageEvent(*fields)
    if event.endpoint in FREE:
        return amount_nanousd(FREE_OF_CHARGE, event)
    return None if columns[18] is None else amount_nanousd(price_of(columns[18:]), event)


async def _append_only(connection: Connection) -> Finding:
    guarded = {row["name"] for row in await connection.fetch(_GUARDS)}
    bare = [name for name in APPEND_ONLY if name not in guarded]
    return Finding(
        "I11",
        not bare,
        "nothing can be deleted: append-only tables are guarded",
        f"unguarded: {', '.join(bare)}" if bare else f"{len(APPEND_ONLY)} tables guarded",
    )


async def _nothing_parked(connection: Connection) -> Finding:
    row = await connection.fetchrow(_PARKED, DISMISSED)
    assert row is not None
    since = f", the oldest since {row['oldest']:%Y-%m-%d %H:%M} UTC" if row["oldest"] else ""
    counts = f"{row['parked']} parked{since}; {row['dismissed']} dismissed"
    return Finding("I12", row["parked"] == 0, "no event is parked", counts)
