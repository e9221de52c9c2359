"""Keeping answers, and going on from kept ones."""

from __future__ import annotations

from collections.abc import Iterable

from chassis.errors import CapstanError, Reason
from services.gateway import request_errors
from services.gateway.api_error import ApiError
from services.gateway.caller import Caller
from services.gateway.conversation import response_of
from services.gateway.desk import Desk
from services.gateway.kept import Json, Kept, Kind

MOST_REFERRED = 64
"""Responses, beyond the thread itself, whose items one request may refer to."""


async def keep(desk: Desk, caller: Caller, kind: Kind, kept: Kept, request_id: str) -> bool:
    """Keep an answer; durable on return. False: jobs could not, and the answer is served all the same."""
    try:
        await desk.keeper.put(caller, kind, kept)
    except CapstanError as error:
        desk.metrics.unkept.labels(kind).inc()
        desk.log.warning("an answer is not kept: %s", error, extra={"request_id": request_id})
        return False
    return True


async def recall(desk: Desk, caller: Caller, previous_id: str | None) -> list[Kept]:
    """Answer the thread that a request goes on from, oldest first. Raises `ApiError` when there is none."""
    if not previous_id:
        return []
    try:
        return await desk.keeper.thread(caller, "response", previous_id)
    except CapstanError as error:
        if error.reason is Reason.OBJECT_NOT_FOUND:
            raise ApiError(
                400,
                f"Previous response with id '{previous_id[: request_errors.LONGEST_ECHO]}' not found.",
                code="previous_response_not_found",
                param="previous_response_id",
            ) from None
        if error.reason is Reason.INVALID_ARGUMENT:
            raise request_errors.invalid(
                "previous_response_id", "it goes on from too many responses, or from too large ones."
            ) from None
        raise


def items_of(thread: Iterable[Kept]) -> list[Json]:
    """All items of a thread: what was asked and what was answered, in turn."""
    return [item for kept in thread for item in (*kept.inputs, *kept.answer["output"])]


async def resolved(desk: Desk, caller: Caller, items: list[Json], known: list[Json]) -> list[Json]:
    """Put the items that are meant in the place of references. Raises `ApiError` when one is not there."""
    if all(item["type"] != "item_reference" for item in items):
        return items
    found = {item["id"]: item for item in known}
    asked: set[str] = set()
    for item in items:
        reference = item["id"]
        if item["type"] != "item_reference" or reference in found:
            continue
        response_id = response_of(reference)
        if response_id is None or response_id in asked:
            raise _no_such_item(reference)
        asked.add(response_id)
        if len(asked) > MOST_REFERRED:
            raise request_errors.invalid("input", f"it refers to items of more than {MOST_REFERRED} responses.")
        try:
            kept = await desk.keeper.get(caller, "response", response_id)
        except CapstanError as error:
            raise (_no_such_item(reference) if error.reason is Reason.OBJECT_NOT_FOUND else error) from None
        found |= {other["id"]: other for other in items_of([kept])}
        if reference not in found:
            raise _no_such_item(reference)
    return [found[item["id"]] if item["type"] == "item_reference" else item for item in items]


def _no_such_item(reference: str) -> ApiError:
    return ApiError(
        404,
        f"Item with id '{reference}' not found. Items are not kept when `store` is false.",
        param="input",
    )
