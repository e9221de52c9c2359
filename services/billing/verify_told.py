"""What clients were told they used, checked against what is charged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chassis.postgres import Connection
from services.billing.evidence import Told
from services.billing.finding import Finding

BATCH = 5000

NAMED = 3
"""Requests that are named, of those that are wrong."""

_EVENTS = """
select request_id, prompt_tokens, completion_tokens, cached_prompt_tokens from billing.usage_events
where request_id = any($1::text[])
"""


async def clients_were_told(connection: Connection, told: Sequence[Told] | None) -> Finding:
    """Compare each completed request that a client was told of with its event."""
    statement = "each completed request is charged by the tokens that its client was told"
    if told is None:
        return Finding("I8", None, statement, "not looked at: no file of what clients were told (--told)")
    missing: list[str] = []
    different: list[str] = []
    for some in _batches(told):
        rows = await connection.fetch(_EVENTS, [one.request_id for one in some])
        events = {row["request_id"]: tuple(row)[1:] for row in rows}
        for one in some:
            event = events.get(one.request_id)
            if event is None:
                missing.append(one.request_id)
            elif event != _wanted(one, event):
                different.append(one.request_id)
    return Finding(
        "I8",
        not missing and not different,
        statement,
        f"{len(told)} requests told of, {len(missing)} without an event{_some(missing)}, {len(different)} differ"
        + _some(different),
    )


def _some(request_ids: Sequence[str]) -> str:
    return f" ({', '.join(request_ids[:NAMED])}{', …' * (len(request_ids) > NAMED)})" if request_ids else ""


def _wanted(one: Told, event: tuple[int, ...]) -> tuple[int, int, int]:
    return (one.prompt_tokens, one.completion_tokens, event[2] if one.cached_tokens is None else one.cached_tokens)


def _batches(told: Sequence[Told]) -> Iterator[Sequence[Told]]:
    for start in range(0, len(told), BATCH):
        yield told[start : start + BATCH]
