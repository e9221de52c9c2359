-- Answers that were to be kept: chat completions and responses. The documents are bytes, not jsonb: they are given back as
-- they came, and jsonb could not hold a U+0000 that a model wrote.
create table stored (
    organization_id text        not null,
    project_id      text        not null,
    kind            text        not null check (kind in ('chat_completion', 'response')),
    object_id       text        not null,
    create_time     timestamptz not null,
    model           text        not null,
    metadata        jsonb       not null,
    previous_id     text        not null,
    answer_json     bytea       not null,
    input_json      bytea       not null,
    primary key (organization_id, project_id, kind, object_id)
);
create index stored_by_creation on stored (organization_id, project_id, kind, create_time, object_id);
create index stored_by_age on stored (create_time);
