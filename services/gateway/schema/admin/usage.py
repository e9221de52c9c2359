"""What was used, in buckets of time."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from services.gateway.schema.answers import AnswerModel

Result = TypeVar("Result")


class Bucket(AnswerModel, Generic[Result]):
    """A span of time."""

    object: Literal["bucket"] = "bucket"
    start_time: int
    """Unix seconds, inclusive."""
    end_time: int
    """Unix seconds, exclusive."""
    results: list[Result]
    """One for each group that has any; empty when nothing was used."""


class Buckets(AnswerModel, Generic[Result]):
    """A page; the next one is asked for with `page` = `next_page`."""

    object: Literal["page"] = "page"
    data: list[Bucket[Result]]
    has_more: bool
    next_page: str | None
    """Null when there is no more."""


class Grouped(AnswerModel):
    """Whose usage it is: null for what was not asked for in `group_by`."""

    project_id: str | None = None
    user_id: str | None = None
    api_key_id: str | None = None
    model: str | None = None


class CompletionsUsage(Grouped):
    """Of chat completions, responses and completions."""

    object: Literal["organization.usage.completions.result"] = "organization.usage.completions.result"
    input_tokens: int
    """Cached ones included."""
    input_cached_tokens: int
    input_cache_write_tokens: Literal[0] = 0
    """Always 0: the cache costs nothing to fill."""
    input_uncached_tokens: int
    output_tokens: int
    output_reasoning_tokens: int
    """Capstan's own. Those of `output_tokens` that were spent on thinking."""
    input_text_tokens: int
    """Uncached."""
    output_text_tokens: int
    input_cached_text_tokens: int
    input_audio_tokens: Literal[0] = 0
    """Always 0."""
    input_cached_audio_tokens: Literal[0] = 0
    """Always 0."""
    output_audio_tokens: Literal[0] = 0
    """Always 0."""
    input_image_tokens: Literal[0] = 0
    """Always 0."""
    input_cached_image_tokens: Literal[0] = 0
    """Always 0."""
    output_image_tokens: Literal[0] = 0
    """Always 0."""
    num_model_requests: int
    batch: bool | None = None
    service_tier: str | None = None


class EmbeddingsUsage(Grouped):
    """Of embeddings."""

    object: Literal["organization.usage.embeddings.result"] = "organization.usage.embeddings.result"
    input_tokens: int
    num_model_requests: int


class ModerationsUsage(Grouped):
    """Of moderations, which are free; their tokens are estimated."""

    object: Literal["organization.usage.moderations.result"] = "organization.usage.moderations.result"
    input_tokens: int
    num_model_requests: int


NoUsage = dict[str, Any]
"""Of what is not served: there never is any."""
