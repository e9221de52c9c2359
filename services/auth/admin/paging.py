"""One part of a list, in the order of ids: those of Capstan begin with the time at which they were made."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import actor_pb2
from services.auth import fields
from services.auth.admin.call import Call

DEFAULT = 20
MOST = 1000


def size(page: actor_pb2.Page) -> int:
    """Answer how many objects are wanted. Raises INVALID_ARGUMENT."""
    if not 0 <= page.limit <= MOST:
        raise fields.invalid("page.limit", f"must be 1 to {MOST}")
    if page.after and page.before:
        raise fields.invalid("page.before", "cannot be used together with `after`")
    return page.limit or DEFAULT


async def part(
    call: Call, select: str, key: str, page: actor_pb2.Page, *arguments: object, descending: bool = False
) -> tuple[list[asyncpg.Record], bool]:
    """Answer the rows of a page, and whether more follow.

    `select` ends inside its WHERE clause and has the organisation as $1 and `arguments` from $2 on; `key` is the
    expression that is unique in the list and orders it. `descending` is the order where the page names none.
    """
    limit, place = size(page), len(arguments) + 2
    if page.order != actor_pb2.PAGE_ORDER_UNSPECIFIED:
        descending = page.order == actor_pb2.PAGE_ORDER_DESCENDING
    backwards = bool(page.before)
    down = descending is not backwards
    bound = ""
    if cursor := page.after or page.before:
        bound = f'AND {key} COLLATE "C" {"<" if down else ">"} ${place + 1}'
        arguments = (*arguments, limit + 1, cursor)
    else:
        arguments = (*arguments, limit + 1)
    found = await call.rows(
        f'{select} {bound} ORDER BY {key} COLLATE "C" {"DESC" if down else "ASC"} LIMIT ${place}', *arguments
    )
    rows = found[:limit]
    return (rows[::-1] if backwards else rows), len(found) > limit
