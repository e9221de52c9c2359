"""What was used and what it cost, over time."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from services.gateway.schema.answers import AnswerModel

Width = Literal["1m", "1h", "1d"]
UsageGroup = Literal["project_id", "user_id", "api_key_id", "model"]
CompletionsGroup = Literal["project_id", "user_id", "api_key_id", "model", "batch", "service_tier"]
CostGroup = Literal["project_id", "line_item", "api_key_id"]


class Result(AnswerModel):
    """What all sums have in common: null where it was not grouped by."""

    project_id: str | None = None
    user_id: str | None = None
    """Owner of the key."""
    api_key_id: str | None = None
    model: str | None = None
    num_model_requests: int
    input_tokens: int


class CompletionsResult(Result):
    """A sum of requests that generated text."""

    object: Literal["organization.usage.completions.result"] = "organization.usage.completions.result"
    input_cached_tokens: int
    """Those of `input_tokens` that were found in the prefix cache."""
    input_uncached_tokens: int
    output_tokens: int
    input_audio_tokens: int = 0
    """Always 0."""
    output_audio_tokens: int = 0
    """Always 0."""
    batch: bool | None = None
    service_tier: str | None = None


class EmbeddingsResult(Result):
    """A sum of requests that made vectors."""

    object: Literal["organization.usage.embeddings.result"] = "organization.usage.embeddings.result"


class ModerationsResult(Result):
    """A sum of requests for verdicts; their tokens are estimated."""

    object: Literal["organization.usage.moderations.result"] = "organization.usage.moderations.result"


class Amount(AnswerModel):
    """Money."""

    value: float
    """US dollars, as near as a number of JSON comes."""
    currency: Literal["usd"] = "usd"


class CostsResult(AnswerModel):
    """A sum of costs."""

    object: Literal["organization.costs.result"] = "organization.costs.result"
    amount: Amount
    amount_nanousd: str
    """Capstan's own. The exact amount, nano-dollars."""
    line_item: str | None = None
    """What was sold; null where it was not grouped by, and so are the others."""
    project_id: str | None = None
    api_key_id: str | None = None
    quantity: int | None = None
    """Only with `line_item`."""
    quantity_unit: Literal["tokens"] | None = None


R = TypeVar("R")


class Bucket(AnswerModel, Generic[R]):
    """A stretch of time."""

    object: Literal["bucket"] = "bucket"
    start_time: int
    """Unix seconds, inclusive."""
    end_time: int
    """Unix seconds, exclusive."""
    results: list[R]
    """Empty when nothing was used."""


class UsagePage(AnswerModel, Generic[R]):
    """Buckets in the order of time; the next page is asked for with `page` = `next_page`."""

    object: Literal["page"] = "page"
    data: list[Bucket[R]]
    has_more: bool
    next_page: str | None
