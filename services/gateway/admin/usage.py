"""`/v1/organization/usage/…`: what was used, in buckets of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from services.gateway.admin.office import Office
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.admin.span import Time, Whose
from services.gateway.peers.admin.spending_rights import SpendingRights
from services.gateway.peers.admin.usage import Usage, UsageGroup
from services.gateway.schema.admin.usage import (
    Buckets,
    CompletionsUsage,
    EmbeddingsUsage,
    ModerationsUsage,
    NoUsage,
)

NEVER_USED: Mapping[str, str] = {
    "audio_speeches": "speeches",
    "audio_transcriptions": "transcriptions",
    "images": "images",
    "vector_stores": "vector stores",
    "code_interpreter_sessions": "sessions of the code interpreter",
    "file_search_calls": "calls of file search",
    "web_search_calls": "calls of web search",
}
"""What OpenAI meters and this platform does not serve: there is none of it, which is an answer. By the path's end."""

Groups = Annotated[
    list[UsageGroup], Query(max_length=6, description="One result for each combination of these; none: one per bucket.")
]
ShortGroups = Annotated[
    list[Literal["project_id", "user_id", "api_key_id", "model"]],
    Query(max_length=4, description="One result for each combination of these; none: one per bucket."),
]
AnyGroups = Annotated[list[str], Query(max_length=10, description="Changes nothing: there is nothing to group.")]
Batch = Annotated[bool | None, Query(description="Only batches, or everything else; left out: both.")]


def router(office: Office) -> APIRouter:
    """Build the routes."""
    usage = Usage(office.bookkeeper, SpendingRights(office.authority))
    made = APIRouter(prefix="/v1/organization/usage", tags=["Usage"], route_class=AdminRoute)

    @made.get("/completions", operation_id="usage-completions", summary="Sum chat completions, responses, completions")
    async def completions(
        actor: Acting,
        span: Time,
        whose: Whose,
        batch: Batch = None,
        group_by: Groups = [],  # noqa: B006 - never changed
    ) -> Buckets[CompletionsUsage]:
        return await usage.completions(actor, span, replace(whose, batch=batch), group_by)

    @made.get("/embeddings", operation_id="usage-embeddings", summary="Sum embeddings")
    async def embeddings(
        actor: Acting,
        span: Time,
        whose: Whose,
        group_by: ShortGroups = [],  # noqa: B006
    ) -> Buckets[EmbeddingsUsage]:
        return await usage.embeddings(actor, span, whose, [*group_by])

    @made.get("/moderations", operation_id="usage-moderations", summary="Sum moderations, which are free")
    async def moderations(
        actor: Acting,
        span: Time,
        whose: Whose,
        group_by: ShortGroups = [],  # noqa: B006
    ) -> Buckets[ModerationsUsage]:
        return await usage.moderations(actor, span, whose, [*group_by])

    for path, words in NEVER_USED.items():
        _add_never_used(made, usage, path, words)
    return made


def _add_never_used(made: APIRouter, usage: Usage, path: str, words: str) -> None:
    @made.get(f"/{path}", operation_id=f"usage-{path.replace('_', '-')}", summary=f"Sum {words}: none are served")
    async def nothing(
        actor: Acting,
        span: Time,
        whose: Whose,
        group_by: AnyGroups = [],  # noqa: B006 - never changed
    ) -> Buckets[NoUsage]:
        return await usage.nothing(actor, span)
