-- What engines counted: the second witness of every token.

create table engine_usage (
    request_id           text        not null,
    part_id              text        not null,
    replica_id           text        not null,
    failed               boolean     not null,
    prompt_tokens        bigint      not null check (prompt_tokens >= 0),
    cached_prompt_tokens bigint      not null check (cached_prompt_tokens between 0 and prompt_tokens),
    completion_tokens    bigint      not null check (completion_tokens >= 0),
    reasoning_tokens     bigint      not null check (reasoning_tokens between 0 and completion_tokens),
    finish_time          timestamptz not null,
    received_time        timestamptz not null,
    admission            bytea       not null,
    primary key (request_id, part_id, replica_id)
);
create index engine_usage_by_arrival on engine_usage (received_time);
create trigger append_only before update or delete or truncate on engine_usage
    for each statement execute function refuse_change();

-- Of several attempts at a part the one that counts: that which did not fail, and of those the one that went furthest.
create view engine_parts as
select distinct on (request_id, part_id) *
from engine_usage order by request_id, part_id, failed, completion_tokens desc, finish_time desc, replica_id;

-- A request's parts added up.
create view engine_requests as
select request_id, bool_and(failed) as failed, coalesce(sum(prompt_tokens) filter (where not failed), 0)::bigint
    as prompt_tokens,
    coalesce(sum(cached_prompt_tokens) filter (where not failed), 0)::bigint as cached_prompt_tokens,
    coalesce(sum(completion_tokens) filter (where not failed), 0)::bigint as completion_tokens,
    coalesce(sum(reasoning_tokens) filter (where not failed), 0)::bigint as reasoning_tokens,
    max(finish_time) as finish_time, max(received_time) as received_time, min(admission) as admission
from engine_parts group by request_id;
