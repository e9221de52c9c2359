"""Kept chat completions: `GET /v1/chat/completions`, `/v1/chat/completions/{id}` and what is below."""

from __future__ import annotations

from services.gateway.api.hot import Answer, Exchange
from services.gateway.api.objects import Ask, NoBody, listed, part_of, whole
from services.gateway.caller import Caller
from services.gateway.desk import Desk
from services.gateway.kept import Json
from services.gateway.schema.base import Metadata, RequestModel
from services.gateway.schema.messages import AnyMessage


class MetadataUpdate(RequestModel):
    """What a kept completion's metadata shall be."""

    metadata: Metadata | None
    """All pairs; null: none."""


async def list_chat_completions(desk: Desk, caller: Caller, ask: Ask[NoBody], exchange: Exchange) -> Answer:
    """`GET /v1/chat/completions`: oldest first by default."""
    page, has_more = await desk.keeper.page(caller, "chat_completion", ask.filter("asc"))
    return whole(listed([kept.json() for kept in page], has_more=has_more), exchange)


async def retrieve_chat_completion(desk: Desk, caller: Caller, ask: Ask[NoBody], exchange: Exchange) -> Answer:
    """`GET /v1/chat/completions/{id}`."""
    return whole((await desk.keeper.get(caller, "chat_completion", ask.object_id)).json(), exchange)


async def update_chat_completion(desk: Desk, caller: Caller, ask: Ask[MetadataUpdate], exchange: Exchange) -> Answer:
    """`POST /v1/chat/completions/{id}`."""
    kept = await desk.keeper.update(caller, "chat_completion", ask.object_id, ask.body.metadata or {})
    return whole(kept.json(), exchange)


async def delete_chat_completion(desk: Desk, caller: Caller, ask: Ask[NoBody], exchange: Exchange) -> Answer:
    """`DELETE /v1/chat/completions/{id}`."""
    await desk.keeper.delete(caller, "chat_completion", ask.object_id)
    return whole({"object": "chat.completion.deleted", "id": ask.object_id, "deleted": True}, exchange)


async def list_messages(desk: Desk, caller: Caller, ask: Ask[NoBody], exchange: Exchange) -> Answer:
    """`GET /v1/chat/completions/{id}/messages`: what was asked, oldest first by default."""
    wanted = ask.filter("asc")
    return whole(part_of(await desk.keeper.get(caller, "chat_completion", ask.object_id), wanted), exchange)


def kept_messages(messages: list[AnyMessage], completion_id: str) -> list[Json]:
    """Write the messages of a request as they are kept. Content that came in parts stays in parts."""
    return [_message(message, f"{completion_id}-{number}") for number, message in enumerate(messages)]


def _message(message: AnyMessage, message_id: str) -> Json:
    said = message.model_dump(mode="json", exclude_none=True)
    content = said.pop("content", None)
    parts = content if isinstance(content, list) else None
    plain: Json = {"id": message_id, "content": None if parts else content, "refusal": None, "name": None}
    return plain | said | {"content_parts": parts}
