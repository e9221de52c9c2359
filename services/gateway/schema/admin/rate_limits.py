"""What projects and organisations may use of each model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.schema.answers import AnswerModel
from services.gateway.schema.base import RequestModel

UNLIMITED = 2**53 - 1
"""Stands for no limit, because OpenAI's shape wants a number: the largest one that every reader of JSON has exactly."""

EVERY_MODEL = "*"
"""Each model that has no numbers of its own."""

Count = Annotated[int, Field(ge=0, le=UNLIMITED)]


class RateLimitUpdate(RequestModel):
    """New numbers; what is not given stays. 9007199254740991 lifts a limit."""

    max_requests_per_1_minute: Count | None = None
    max_tokens_per_1_minute: Count | None = None
    max_requests_per_1_day: Count | None = None
    """The day begins at midnight UTC."""
    batch_1_day_max_input_tokens: Count | None = None
    max_tokens_per_1_day: Count | None = None
    """Capstan's own."""
    max_concurrent_requests: Count | None = None
    """Capstan's own. Requests under way at once."""
    shadow: bool | None = None
    """Capstan's own. Counted and reported to operators, never refusing and never told to clients."""
    failure_mode: Literal["open", "local", "closed"] | None = None
    """Capstan's own. What holds while the meters cannot be asked: everybody is let in, each gateway keeps to its share,
    or everybody gets a 503."""
    burst_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """Capstan's own. How much of a minute's limit may come at once."""
    max_images_per_1_minute: None = None
    """Not served: only null."""
    max_audio_megabytes_per_1_minute: None = None
    """Not served: only null."""


class RateLimit(AnswerModel):
    """What may be used of one model. 9007199254740991 is no limit, and so is null."""

    object: Literal["project.rate_limit"] = "project.rate_limit"
    id: str
    """"rl-" and the model's name."""
    model: str
    """`*`: each model that has no numbers of its own."""
    max_requests_per_1_minute: int
    max_tokens_per_1_minute: int
    max_requests_per_1_day: int | None
    batch_1_day_max_input_tokens: int | None
    max_tokens_per_1_day: int | None
    """Capstan's own."""
    max_concurrent_requests: int | None
    """Capstan's own."""
    shadow: bool
    """Capstan's own."""
    failure_mode: Literal["open", "local", "closed"]
    """Capstan's own."""
    burst_percent: int
    """Capstan's own."""
    inherited: bool
    """Capstan's own. Nothing was set here: these are the numbers of the organisation."""
