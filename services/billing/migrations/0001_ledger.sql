-- Prices, usage events, the ledger, what organisations owe, and what could not be recorded.
-- Money: bigint nano-dollars; prices: bigint pico-dollars per token.

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '%.% is append-only: % refused', tg_table_schema, tg_table_name, tg_op
        using errcode = 'restrict_violation', hint = 'Correct by adding rows that refer to the old ones.';
end $$;

-- A version never changes: events refer to it, and their amounts are recomputed from it.
create table price_versions (
    version              integer     not null check (version >= 1),
    model                text        not null,
    effective_time       timestamptz not null,
    input_picousd        bigint      not null check (input_picousd >= 0),
    cached_input_picousd bigint      not null check (cached_input_picousd >= 0),
    output_picousd       bigint      not null check (output_picousd >= 0),
    published_time       timestamptz not null default now(),
    primary key (version, model)
);
create trigger append_only before update or delete or truncate on price_versions
    for each statement execute function refuse_change();

-- One row per request: the primary key is what makes delivery exactly once.
-- No foreign key to price_versions: every insert would lock the same few rows there; `verify` checks it instead.
create table usage_events (
    request_id           text        not null primary key,
    organization_id      text        not null,
    project_id           text        not null,
    key_id               text        not null,
    owner_id             text        not null,
    model                text        not null,
    endpoint             text        not null,
    outcome              text        not null,
    start_time           timestamptz not null,
    finish_time          timestamptz not null check (finish_time >= start_time),
    received_time        timestamptz not null default now(),
    prompt_tokens        bigint      not null check (prompt_tokens >= 0),
    cached_prompt_tokens bigint      not null check (cached_prompt_tokens between 0 and prompt_tokens),
    completion_tokens    bigint      not null check (completion_tokens >= 0),
    reasoning_tokens     bigint      not null check (reasoning_tokens between 0 and completion_tokens),
    usage_estimated      boolean     not null,
    price_version        integer     not null,
    price_model          text        not null,
    amount_nanousd       bigint      not null check (amount_nanousd >= 0)
);
create index usage_events_by_time on usage_events (organization_id, start_time);
create trigger append_only before update or delete or truncate on usage_events
    for each statement execute function refuse_change();

create table ledger_entries (
    transaction_id  text        not null,
    leg             smallint    not null check (leg >= 1),
    organization_id text        not null,
    account         text        not null check (account in ('receivable', 'revenue')),
    amount_nanousd  bigint      not null check (amount_nanousd <> 0),
    entry_time      timestamptz not null default now(),
    primary key (transaction_id, leg)
);
create trigger append_only before update or delete or truncate on ledger_entries
    for each statement execute function refuse_change();

-- A projection of the two tables above, kept in the same transactions.
create table accounts (
    organization_id    text   not null primary key,
    receivable_nanousd bigint not null,
    event_count        bigint not null check (event_count >= 0),
    prompt_tokens      bigint not null check (prompt_tokens >= 0),
    completion_tokens  bigint not null check (completion_tokens >= 0)
);

-- What arrived and could not be recorded. The digest is the key, because nothing inside can be trusted.
-- Rows only change from open to resolved: by `reprocess`, or by a person who writes why.
create table dead_letters (
    digest          bytea       not null primary key,
    organization_id text        not null,
    request_id      text        not null,
    reason          text        not null,
    payload         bytea       not null,
    parked_time     timestamptz not null default now(),
    resolved_time   timestamptz,
    resolution      text,
    check ((resolved_time is null) = (resolution is null))
);
create index dead_letters_open on dead_letters (organization_id) where resolved_time is null;
create trigger append_only before delete or truncate on dead_letters
    for each statement execute function refuse_change();
