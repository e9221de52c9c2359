"""The statements about stored answers.

Every statement of a tenant begins with `MINE`: it reads from `mine`, which holds the tenant's objects of one kind that
are not too old. Its first four arguments are the tenant, the kind, and the time from which on objects are kept;
`stored_store.TenantStored` gives them.
"""

from __future__ import annotations

from services.jobs.files import Order

MINE = """
with recursive mine as not materialized (
    select * from jobs.stored
    where organization_id = $1::text and project_id = $2::text and kind = $3::text and create_time > $4::timestamptz
)
"""

# The first one stays; one that is too old and still there makes room.
PUT = """
insert into jobs.stored as kept (
    organization_id, project_id, kind, object_id, create_time, model, metadata, previous_id, answer_json, input_json)
values ($1, $2, $3, $5, $6, $7, $8::jsonb, $9, $10, $11)
on conflict (organization_id, project_id, kind, object_id) do update set
    create_time = excluded.create_time, model = excluded.model, metadata = excluded.metadata,
    previous_id = excluded.previous_id, answer_json = excluded.answer_json, input_json = excluded.input_json
    where kept.create_time <= $4
"""

GET = """
select object_id, create_time, model, metadata::text, previous_id, answer_json, input_json from mine
where object_id = $5
"""

# From the newest to the oldest. The depth bounds a thread, and would end one that bites its tail.
THREAD = """
, thread as (
    select object_id, previous_id, 1 as depth from mine where object_id = $5
    union all
    select mine.object_id, mine.previous_id, thread.depth + 1
    from thread join mine on mine.object_id = thread.previous_id
    where thread.depth < $6
), sized as (
    select mine.*, thread.depth,
        sum(length(answer_json) + length(input_json)) over (order by thread.depth) as bytes
    from thread join mine using (object_id)
)
select object_id, create_time, model, metadata::text, previous_id, answer_json, input_json from sized
where bytes <= $7 order by depth
"""

CURSOR = "select create_time, object_id from mine where object_id = $5"

_LIST = """
, page as (
    select * from mine
    where ($5::text = '' or model = $5) and metadata @> $6::jsonb
        and ($7::timestamptz is null or (create_time, object_id) {beyond} ($7, $8::text))
    order by create_time {direction}, object_id {direction} limit $9
), sized as (
    select *, sum(length(answer_json)) over (order by create_time {direction}, object_id {direction}) as bytes,
        row_number() over (order by create_time {direction}, object_id {direction}) as place
    from page
)
select object_id, create_time, model, metadata::text, previous_id, answer_json, ''::bytea as input_json,
    (select count(*) from page) as page_count
from sized where bytes <= $10 or place = 1 order by place
"""

LIST = {
    Order.OLDEST_FIRST: _LIST.format(beyond=">", direction="asc"),
    Order.NEWEST_FIRST: _LIST.format(beyond="<", direction="desc"),
}

UPDATE = """
update jobs.stored as kept set metadata = $6::jsonb from (select object_id from mine where object_id = $5) as it
where kept.organization_id = $1 and kept.project_id = $2 and kept.kind = $3 and kept.object_id = it.object_id
returning kept.object_id, create_time, model, metadata::text, previous_id, answer_json, input_json
"""

DELETE = """
delete from jobs.stored as kept using (select object_id from mine where object_id = $5) as it
where kept.organization_id = $1 and kept.project_id = $2 and kept.kind = $3 and kept.object_id = it.object_id
returning kept.object_id
"""

# Of all tenants: nobody is told anything.
PURGE = """
with old as (
    select organization_id, project_id, kind, object_id from jobs.stored where create_time <= $1
    order by create_time limit $2 for update skip locked
), removed as (
    delete from jobs.stored as kept using old
    where (kept.organization_id, kept.project_id, kept.kind, kept.object_id)
        = (old.organization_id, old.project_id, old.kind, old.object_id)
    returning 1
)
select count(*) from removed
"""
