"""What engines counted, in PostgreSQL: kept as it is told, read where a gateway's word is missing, compared with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta

from chassis.postgres import Connection
from chassis.tenancy import Tenancy
from services.billing.reaches import WITNESS
from services.billing.witness import Counted, Testimony

_KEEP = """
insert into billing.engine_usage (
    request_id, part_id, replica_id, failed, prompt_tokens, cached_prompt_tokens, completion_tokens, reasoning_tokens,
    finish_time, received_time, admission, organization_id)
select told.request_id, told.part_id, $1, told.failed, told.prompt_tokens, told.cached_prompt_tokens,
    told.completion_tokens, told.reasoning_tokens, told.finish_time, $2, told.admission, told.organization_id
from unnest(
    $3::text[], $4::text[], $5::boolean[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::timestamptz[],
    $11::bytea[], $12::text[]) as told(request_id, part_id, failed, prompt_tokens, cached_prompt_tokens,
    completion_tokens, reasoning_tokens, finish_time, admission, organization_id)
order by told.request_id, told.part_id
on conflict (request_id, part_id, replica_id) do nothing
"""

# By request, and not of all that engines ever told and then joined, which policies' guesses make look cheaper.
_ADDED_UP = """
lateral (select * from billing.engine_requests where request_id = told.request_id offset 0) as counted
"""

_COUNTED = f"""
select counted.request_id, counted.request_id as part_id, prompt_tokens, cached_prompt_tokens, completion_tokens,
    reasoning_tokens, finish_time, failed
from unnest($1::text[]) as told(request_id) cross join {_ADDED_UP}
"""  # noqa: S608 - only our own constants

# Where a stretch of reports that begins at $1 ends, for it to have no more than $3.
_EDGE = """
select received_time from billing.engine_usage where received_time >= $1 and received_time < $2
order by received_time offset $3 limit 1
"""

# What is parked, and what a person has dismissed, is theirs: it was told of, and nothing is missing.
_IS_SET_ASIDE = """
exists (select from billing.dead_letters as letter
    where letter.request_id = told.request_id and letter.resolution is distinct from 'recorded')
"""

# Requests whose last part was told between $1 and $2 and of which no gateway has said anything.
_ORPHANS = f"""
select counted.*
from (
    select distinct request_id from billing.engine_usage as told
    where received_time >= $1 and received_time < $2 and request_id > $3
        and not exists (select from billing.usage_events as event where event.request_id = told.request_id)
        and not {_IS_SET_ASIDE}
) as told
    cross join {_ADDED_UP}
where counted.received_time < $2
order by told.request_id limit $4
"""  # noqa: S608 - only our own constants

# Faults are free and their counts mean little; all other requests are compared, those without an event too.
DRIFT = f"""
select count(*) as requests, coalesce(sum(counted.prompt_tokens + counted.completion_tokens), 0)::bigint as counted,
    coalesce(sum(event.prompt_tokens + event.completion_tokens), 0)::bigint as recorded,
    count(*) filter (
        where event.request_id is null or event.prompt_tokens <> counted.prompt_tokens
            or event.completion_tokens <> counted.completion_tokens) as different,
    count(*) filter (where event.request_id is null) as missing
from (
    select distinct request_id from billing.engine_usage as told
    where received_time >= $1 and received_time < $2 and not {_IS_SET_ASIDE}
) as told
    cross join {_ADDED_UP}
    left join billing.usage_events as event on event.request_id = told.request_id
where not counted.failed and counted.received_time < $2
    and (event.outcome is null or event.outcome not in ('engine_error', 'server_error'))
"""  # noqa: S608 - only our own constants


@dataclass(frozen=True, slots=True)
class Drift:
    """How the gateways' tokens compare with the engines'."""

    request_count: int
    counted_tokens: int
    """By engines."""
    recorded_tokens: int
    """In events."""
    different_count: int
    """Requests that differ."""
    missing_count: int
    """Those of them that have no event at all."""

    def __add__(self, other: Drift) -> Drift:
        """Put two stretches of time together."""
        return Drift(*(mine + others for mine, others in zip(astuple(self), astuple(other), strict=True)))

    @property
    def ratio(self) -> float:
        """Difference as a share of what engines counted."""
        return abs(self.counted_tokens - self.recorded_tokens) / max(1, self.counted_tokens)


class WitnessStore:
    """Keeps and reads counts. Every method raises `CapstanError` (UNAVAILABLE, OVERLOADED)."""

    def __init__(self, tenancy: Tenancy) -> None:
        self._tenancy = tenancy

    async def keep(self, replica_id: str, testimonies: Iterable[Testimony], received: datetime) -> None:
        """Keep what a replica told; committed when this returns. What was told before stays as it was."""
        rows = [
            (
                told.counted.request_id,
                told.counted.part_id,
                told.counted.failed,
                told.counted.prompt_tokens,
                told.counted.cached_prompt_tokens,
                told.counted.completion_tokens,
                told.counted.reasoning_tokens,
                told.counted.finish_time,
                told.admission,
                told.organization_id,
            )
            for told in testimonies
        ]
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            async with self._tenancy.entered("", WITNESS) as borrowed:
                await borrowed.execute(_KEEP, replica_id, received, *columns)

    async def edge(self, since: datetime, until: datetime, reports: int) -> datetime:
        """Answer the end of a stretch from `since` in which about so many reports were told, `until` at the latest."""
        async with self._tenancy.entered("", WITNESS) as borrowed:
            edge: datetime | None = await borrowed.fetchval(_EDGE, since, until, reports)
        # What is told at once stays together.
        return until if edge is None else max(edge, since + timedelta.resolution)

    async def orphans(self, since: datetime, until: datetime, after: str, limit: int) -> list[Testimony]:
        """Answer requests beyond the id `after` that were told of between the two and that no event speaks of."""
        async with self._tenancy.entered("", WITNESS) as borrowed:
            rows = await borrowed.fetch(_ORPHANS, since, until, after, limit)
        return [
            Testimony(
                Counted(
                    row["request_id"],
                    row["request_id"],
                    row["prompt_tokens"],
                    row["cached_prompt_tokens"],
                    row["completion_tokens"],
                    row["reasoning_tokens"],
                    row["finish_time"],
                    row["failed"],
                ),
                row["admission"],
            )
            for row in rows
        ]

    async def drift(self, since: datetime, until: datetime) -> Drift:
        """Compare the requests that were told of between the two."""
        async with self._tenancy.entered("", WITNESS) as borrowed:
            return await drift(borrowed, since, until)


async def drift(borrowed: Connection, since: datetime, until: datetime) -> Drift:
    """Compare the requests that were told of between the two."""
    row = await borrowed.fetchrow(DRIFT, since, until)
    assert row is not None
    return Drift(*row)


async def counted(borrowed: Connection, request_ids: Sequence[str]) -> dict[str, Counted]:
    """Answer what engines counted for these requests, where they did."""
    rows = await borrowed.fetch(_COUNTED, list(request_ids))
    return {row["request_id"]: Counted(*row) for row in rows}
