"""The statements of billing, in one place."""

from __future__ import annotations

DIMENSIONS = (
    "organization_id",
    "bucket_time",
    "project_id",
    "key_id",
    "owner_id",
    "model",
    "endpoint",
    "batch",
    "service_tier",
)
"""What tells rows of a roll-up apart."""

MEASURES = (
    "request_count",
    "prompt_tokens",
    "cached_prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "amount_nanousd",
)
"""What a roll-up sums."""

ROLLUP = """organization_id, date_trunc('{unit}', start_time, 'UTC'), project_id, key_id, owner_id, model, endpoint,
    batch, service_tier, count(*), sum(prompt_tokens), sum(cached_prompt_tokens), sum(completion_tokens),
    sum(reasoning_tokens), sum(amount_nanousd)"""
"""The columns of a roll-up, of rows of usage_events."""

# Everything a batch changes, in one statement: the events that are new, their legs, and what their organisations owe.
# Rows are taken in the order of their keys, so that batches which overlap wait for each other and never in a circle.
RECORD = """
with fresh as (
    insert into billing.usage_events (
        request_id, organization_id, project_id, key_id, owner_id, model, endpoint, outcome, start_time, finish_time,
        prompt_tokens, cached_prompt_tokens, completion_tokens, reasoning_tokens, usage_estimated, price_version,
        price_model, amount_nanousd, batch, service_tier)
    select * from unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::timestamptz[], $10::timestamptz[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
        $15::boolean[], $16::integer[], $17::text[], $18::bigint[], $19::boolean[], $20::text[])
        as delivered(request_id)
    order by delivered.request_id
    on conflict (request_id) do nothing
    returning *
), entered as (
    insert into billing.ledger_entries (transaction_id, leg, organization_id, account, amount_nanousd)
    select leg.* from unnest($21::text[], $22::smallint[], $23::text[], $24::text[], $25::bigint[])
        as leg(transaction_id)
    join fresh on fresh.request_id = leg.transaction_id
), owed as (
    insert into billing.accounts as account
        (organization_id, receivable_nanousd, event_count, prompt_tokens, completion_tokens)
    select organization_id, sum(amount_nanousd)::bigint, count(*), sum(prompt_tokens)::bigint,
        sum(completion_tokens)::bigint
    from fresh group by organization_id order by organization_id
    on conflict (organization_id) do update set
        receivable_nanousd = account.receivable_nanousd + excluded.receivable_nanousd,
        event_count = account.event_count + excluded.event_count,
        prompt_tokens = account.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = account.completion_tokens + excluded.completion_tokens
), minutes as (
    insert into billing.usage_minutes as rolled
    select {rollup}
    from fresh group by {groups} order by {groups}
    on conflict ({dimensions}) do update set {added}
), days as (
    insert into billing.usage_days as rolled
    select {daily_rollup}
    from fresh group by {groups} order by {groups}
    on conflict ({dimensions}) do update set {added}
), spent as (
    insert into billing.spending as spent (organization_id, project_id, period, amount_nanousd, event_count)
    select organization_id, scope.project_id, to_char(start_time at time zone 'UTC', 'YYYY-MM'),
        sum(amount_nanousd)::bigint, count(*)
    from fresh cross join lateral (select '' union select fresh.project_id) as scope(project_id)
    group by 1, 2, 3 order by 1, 2, 3
    on conflict (organization_id, project_id, period) do update set
        amount_nanousd = spent.amount_nanousd + excluded.amount_nanousd,
        event_count = spent.event_count + excluded.event_count
)
select request_id from fresh
""".format(  # noqa: S608 - only our own constants
    rollup=ROLLUP.format(unit="minute"),
    daily_rollup=ROLLUP.format(unit="day"),
    groups="1, 2, 3, 4, 5, 6, 7, 8, 9",
    dimensions=", ".join(DIMENSIONS),
    added=", ".join(f"{name} = rolled.{name} + excluded.{name}" for name in MEASURES),
)

AMOUNTS = "select request_id, amount_nanousd from billing.usage_events where request_id = any($1::text[])"

# What a person has dismissed stays dismissed, in whatever words it is told again.
PARK = """
insert into billing.dead_letters (
    digest, organization_id, request_id, reason, payload, ahead, parked_time, resolved_time, resolution)
select parked.*, $7::timestamptz, case when closed.resolution is not null then $7::timestamptz end, closed.resolution
from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::interval[])
        as parked(digest, organization_id, request_id, reason, payload, ahead)
    left join lateral (
        select resolution from billing.dead_letters as letter
        where letter.request_id = parked.request_id and letter.request_id <> ''
            and letter.resolution is distinct from 'recorded' and letter.resolution is not null
        limit 1) as closed on true
order by parked.digest
on conflict (digest) do nothing
"""

# Of these requests those that wait for a person, or were dismissed by one and never charged.
SET_ASIDE = """
select digest, request_id, resolution is not null as dismissed from billing.dead_letters as letter
where request_id = any($1::text[]) and request_id <> '' and resolution is distinct from 'recorded'
    and (resolution is null
        or not exists (select from billing.usage_events as event where event.request_id = letter.request_id))
"""

ACCOUNT = """
select coalesce(max(receivable_nanousd), 0) as receivable_nanousd, coalesce(max(event_count), 0) as event_count,
    coalesce(max(prompt_tokens), 0) as prompt_tokens, coalesce(max(completion_tokens), 0) as completion_tokens,
    (select count(*) from billing.dead_letters where organization_id = $1 and resolved_time is null) as parked_count
from billing.accounts where organization_id = $1
"""

PARKED_COUNT = "select count(*) from billing.dead_letters where resolved_time is null"

PARKED = """
select digest, organization_id, request_id, reason, parked_time, payload, ahead from billing.dead_letters
where resolved_time is null and (parked_time, digest) > ($1, $2) order by parked_time, digest limit $3
"""

PARKED_LIKE = """
select digest from billing.dead_letters where resolved_time is null and starts_with(encode(digest, 'hex'), $1) limit 2
"""

# With all that was told of the same requests.
RESOLVE = """
update billing.dead_letters set resolved_time = now(), resolution = $2
where resolved_time is null and digest in (
    select unnest($1::bytea[])
    union
    select other.digest from billing.dead_letters as asked join billing.dead_letters as other using (request_id)
    where asked.digest = any($1::bytea[]) and request_id <> '' and other.resolution is distinct from 'recorded')
"""

PRICE_COUNT = "select count(*) from billing.price_versions"

PRICES = """
select version, model, effective_time, input_picousd, cached_input_picousd, output_picousd, batch_permille, tier_names,
    tier_permilles
from billing.price_versions
"""

PUBLISH = """
insert into billing.price_versions
    (version, model, effective_time, input_picousd, cached_input_picousd, output_picousd, batch_permille, tier_names,
    tier_permilles)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
