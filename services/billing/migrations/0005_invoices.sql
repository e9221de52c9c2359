-- Statements, and entries that correct earlier ones.

create table corrections (
    correction_id   text        not null primary key,
    organization_id text        not null,
    refers_to       text        not null,
    reason          text        not null,
    amount_nanousd  bigint      not null check (amount_nanousd <> 0),
    correct_time    timestamptz not null
);
create index corrections_by_owner on corrections (organization_id, correct_time);
create trigger append_only before update or delete or truncate on corrections
    for each statement execute function refuse_change();

create table invoices (
    invoice_id      text        not null primary key,
    organization_id text        not null,
    period          text        not null,
    issue_time      timestamptz not null,
    total_nanousd   bigint      not null,
    unique (organization_id, period)
);
create trigger append_only before update or delete or truncate on invoices
    for each statement execute function refuse_change();

create table invoice_lines (
    invoice_id           text     not null references invoices,
    place                integer  not null check (place >= 1),
    period               text     not null,
    project_id           text     not null,
    item                 text     not null,
    request_count        bigint   not null,
    prompt_tokens        bigint   not null,
    cached_prompt_tokens bigint   not null,
    completion_tokens    bigint   not null,
    amount_nanousd       bigint   not null,
    primary key (invoice_id, place)
);
create trigger append_only before update or delete or truncate on invoice_lines
    for each statement execute function refuse_change();

create table invoice_corrections (
    correction_id text not null primary key references corrections,
    invoice_id    text not null references invoices
);
create trigger append_only before update or delete or truncate on invoice_corrections
    for each statement execute function refuse_change();
