"""Kept responses: `/v1/responses/{id}` and what is below."""

from __future__ import annotations

from services.gateway.api.hot import Answer, Exchange
from services.gateway.api.objects import Ask, NoBody, part_of, whole
from services.gateway.api_error import ApiError
from services.gateway.caller import Caller
from services.gateway.desk import Desk


async def retrieve_response(desk: Desk, caller: Caller, ask: Ask[NoBody], exchange: Exchange) -> Answer:
    """`GET /v1/responses/{id}`."""
    if dict(ask.query).get("stream") == "true":
        raise ApiError(400, "Only responses that run in the background can be streamed later.", param="stream")
    kept = await desk.keeper.get(caller, "response", ask.object_id)
    return whole(kept.json(), exchange)


async def delete_response(desk: Desk, caller: Caller, ask: Ask[NoBody], exchange: Exchange) -> Answer:
    """`DELETE /v1/responses/{id}`."""
    await desk.keeper.delete(caller, "response", ask.object_id)
    return whole({"id": ask.object_id, "object": "response", "deleted": True}, exchange)


async def cancel_response(desk: Desk, caller: Caller, ask: Ask[NoBody], exchange: Exchange) -> Answer:
    """`POST /v1/responses/{id}/cancel`: only what runs in the background could be, and nothing does."""
    await desk.keeper.get(caller, "response", ask.object_id)
    raise ApiError(400, "Cannot cancel a synchronous response.")


async def list_input_items(desk: Desk, caller: Caller, ask: Ask[NoBody], exchange: Exchange) -> Answer:
    """`GET /v1/responses/{id}/input_items`: newest first by default."""
    wanted = ask.filter("desc")
    return whole(part_of(await desk.keeper.get(caller, "response", ask.object_id), wanted), exchange)
