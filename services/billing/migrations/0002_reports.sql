-- Multipliers of the price book, what events say of batches and tiers, and the sums that reports are made of.

alter table price_versions
    add column batch_permille integer not null default 1000 check (batch_permille between 0 and 1000000),
    add column tier_names     text[]    not null default '{}',
    add column tier_permilles integer[] not null default '{}',
    add check (cardinality(tier_names) = cardinality(tier_permilles));

alter table usage_events
    add column batch        boolean not null default false,
    add column service_tier text    not null default 'default';

-- Sums of events by the minute and the day (UTC) of their start, kept in the transactions of the events.
create table usage_minutes (
    organization_id      text        not null,
    bucket_time          timestamptz not null,
    project_id           text        not null,
    key_id               text        not null,
    owner_id             text        not null,
    model                text        not null,
    endpoint             text        not null,
    batch                boolean     not null,
    service_tier         text        not null,
    request_count        bigint      not null check (request_count >= 1),
    prompt_tokens        bigint      not null check (prompt_tokens >= 0),
    cached_prompt_tokens bigint      not null check (cached_prompt_tokens >= 0),
    completion_tokens    bigint      not null check (completion_tokens >= 0),
    reasoning_tokens     bigint      not null check (reasoning_tokens >= 0),
    amount_nanousd       bigint      not null check (amount_nanousd >= 0),
    primary key (
        organization_id, bucket_time, project_id, key_id, owner_id, model, endpoint, batch, service_tier)
);
create table usage_days (like usage_minutes including all);

insert into usage_minutes
select organization_id, date_trunc('minute', start_time, 'UTC'), project_id, key_id, owner_id, model, endpoint, batch,
    service_tier, count(*), sum(prompt_tokens), sum(cached_prompt_tokens), sum(completion_tokens),
    sum(reasoning_tokens), sum(amount_nanousd)
from usage_events group by 1, 2, 3, 4, 5, 6, 7, 8, 9;

insert into usage_days
select organization_id, date_trunc('day', bucket_time, 'UTC'), project_id, key_id, owner_id, model, endpoint, batch,
    service_tier, sum(request_count), sum(prompt_tokens), sum(cached_prompt_tokens), sum(completion_tokens),
    sum(reasoning_tokens), sum(amount_nanousd)
from usage_minutes group by 1, 2, 3, 4, 5, 6, 7, 8, 9;
