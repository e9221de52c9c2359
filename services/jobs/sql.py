"""The statements of jobs, in one place.

Every statement of a tenant begins with `MINE`: it reads from `mine`, which holds the tenant's files that have not
expired. Its first two arguments are the tenant, the third is the time; `store.TenantFiles` gives them.
"""

from __future__ import annotations

from services.jobs.files import Order

MINE = """
with mine as not materialized (
    select * from jobs.files
    where organization_id = $1::text and project_id = $2::text
        and (expire_time is null or expire_time > $3::timestamptz)
)
"""

# A file that has expired and whose row is still there makes room for another under its id.
REGISTER = """
insert into jobs.files as kept (
    organization_id, project_id, file_id, filename, purpose, size_bytes, create_time, expire_time)
values ($1, $2, $4, $5, $6, $7, $8, $9)
on conflict (organization_id, project_id, file_id) do update set
    filename = excluded.filename, purpose = excluded.purpose, size_bytes = excluded.size_bytes,
    create_time = excluded.create_time, expire_time = excluded.expire_time
    where kept.expire_time <= $3
returning file_id, filename, purpose, size_bytes, create_time, expire_time
"""

GET = "select file_id, filename, purpose, size_bytes, create_time, expire_time from mine where file_id = $4"

LIST = {
    Order.OLDEST_FIRST: """
select file_id, filename, purpose, size_bytes, create_time, expire_time from mine
where ($4::text is null or purpose = $4)
    and ($5::timestamptz is null or (create_time, file_id) > ($5, $6::text))
order by create_time, file_id limit $7
""",
    Order.NEWEST_FIRST: """
select file_id, filename, purpose, size_bytes, create_time, expire_time from mine
where ($4::text is null or purpose = $4)
    and ($5::timestamptz is null or (create_time, file_id) < ($5, $6::text))
order by create_time desc, file_id desc limit $7
""",
}

DELETE = """
delete from jobs.files as kept using mine
where mine.file_id = $4
    and (kept.organization_id, kept.project_id, kept.file_id)
        = (mine.organization_id, mine.project_id, mine.file_id)
returning kept.file_id
"""

# Of all tenants: nobody is told anything.
PURGE = """
with expired as (
    select organization_id, project_id, file_id from jobs.files where expire_time <= $1
    order by expire_time limit $2 for update skip locked
), removed as (
    delete from jobs.files as kept using expired
    where (kept.organization_id, kept.project_id, kept.file_id)
        = (expired.organization_id, expired.project_id, expired.file_id)
    returning 1
)
select count(*) from removed
"""
