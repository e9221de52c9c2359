-- What may be spent: limits of organisations and projects, prepaid credit, and alerts at thresholds.

-- Money by the month (UTC) of its requests' starts, kept in the transactions of the events. The project '' is the whole
-- organisation.
create table spending (
    organization_id text   not null,
    project_id      text   not null,
    period          text   not null check (period ~ '^[0-9]{4}-[0-9]{2}$'),
    amount_nanousd  bigint not null,
    event_count     bigint not null check (event_count >= 1),
    primary key (organization_id, project_id, period)
);
create index spending_of_projects on spending (project_id, period) where project_id <> '';

insert into spending
select organization_id, scope.project_id, to_char(start_time at time zone 'UTC', 'YYYY-MM'), sum(amount_nanousd),
    count(*)
from usage_events as event cross join lateral (select '' union select event.project_id) as scope(project_id)
group by 1, 2, 3;

-- In force until they are set anew; a limit that was lowered below what is spent already refuses what comes after.
create table spend_limits (
    organization_id text        not null,
    project_id      text        not null,
    hard_nanousd    bigint      check (hard_nanousd >= 0),
    soft_nanousd    bigint      check (soft_nanousd >= 0),
    set_time        timestamptz not null,
    primary key (organization_id, project_id),
    check (hard_nanousd is not null or soft_nanousd is not null)
);

create table payment_terms (
    organization_id      text        not null primary key,
    prepaid              boolean     not null,
    max_exposure_nanousd bigint      not null check (max_exposure_nanousd >= 0),
    set_time             timestamptz not null
);

-- Each is a transaction of the ledger as well.
create table credit_grants (
    grant_id        text        not null primary key,
    organization_id text        not null,
    amount_nanousd  bigint      not null check (amount_nanousd > 0),
    note            text        not null,
    grant_time      timestamptz not null
);
create index credit_grants_by_owner on credit_grants (organization_id);
create trigger append_only before update or delete or truncate on credit_grants
    for each statement execute function refuse_change();

-- prepaid: what we owe an organisation that paid in advance, negative by convention. grants: what it paid for that.
-- adjustments: what a correction takes from revenue, or adds to it.
alter table ledger_entries drop constraint ledger_entries_account_check;
alter table ledger_entries add constraint ledger_entries_account_check
    check (account in ('receivable', 'revenue', 'prepaid', 'grants', 'adjustments'));

create table spend_alerts (
    alert_id            text        not null primary key,
    organization_id     text        not null,
    project_id          text        not null,
    threshold_nanousd   bigint      not null check (threshold_nanousd >= 0),
    recipients          text[]      not null,
    subject_prefix      text        not null,
    create_time         timestamptz not null
);
create index spend_alerts_by_owner on spend_alerts (organization_id, project_id, create_time, alert_id);

-- An alert fires once per period. `source` is the alert's id, or "hard" or "soft" for a limit.
create table alert_firings (
    organization_id   text        not null,
    project_id        text        not null,
    source            text        not null,
    period            text        not null,
    message_id        text        not null,
    threshold_nanousd bigint      not null,
    amount_nanousd    bigint      not null,
    recipients        text[]      not null,
    subject_prefix    text        not null,
    fire_time         timestamptz not null,
    attempt_count     integer     not null default 0,
    next_attempt_time timestamptz,
    deliver_time      timestamptz,
    primary key (organization_id, project_id, source, period)
);
create index alert_firings_due on alert_firings (next_attempt_time) where next_attempt_time is not null;
