"""The body of `POST /v1/embeddings`."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, cast

from pydantic import Field, Tag, model_validator

from services.gateway.api_error import ApiError
from services.gateway.schema.base import RequestModel, Tokens, text_or_tokens

MAX_INPUTS = 2048
MAX_TOKENS = 300_000
"""Over all inputs. Those that are text are counted by the engine."""

_Text = Annotated[str, Field(min_length=1)]

Input = Annotated[
    Annotated[_Text, Tag("string")]
    | Annotated[list[_Text], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True), Tag("strings")]
    | Annotated[Tokens, Field(max_length=MAX_INPUTS), Tag("tokens")]
    | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True), Tag("token_lists")],
    text_or_tokens("one of a string, array of strings, array of integers, or array of integer arrays"),
]


class EmbeddingRequest(RequestModel):
    """Texts to make vectors of."""

    model: Annotated[str, Field(min_length=1, max_length=512)]
    """Name of the model."""
    input: Input
    """One or several texts, as strings or as token ids of this model's vocabulary."""
    encoding_format: Literal["float", "base64"] | None = None
    """base64: little-endian float32, which the official SDKs ask for by themselves. Default float."""
    dimensions: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Length of the vectors, for models that can shorten them."""
    user: str | None = None
    """The end user, in the client's own terms."""

    @model_validator(mode="after")
    def _check(self) -> EmbeddingRequest:
        if self.prompt_token_count > MAX_TOKENS:
            raise ApiError(
                400,
                f"Requested {self.prompt_token_count} tokens, max {MAX_TOKENS} tokens per request",
                code="max_tokens_per_request",
            )
        return self

    @property
    def wants_base64(self) -> bool:
        """Whether vectors are answered as base64 text."""
        return self.encoding_format == "base64"

    @property
    def inputs(self) -> list[str | list[int]]:
        """The inputs in order, each as text or as token ids."""
        if isinstance(self.input, str):
            return [self.input]
        if isinstance(self.input[0], int):
            return [self.input]
        return cast("list[str | list[int]]", self.input)

    @property
    def texts(self) -> list[str]:
        """The inputs that are text."""
        return [one for one in self.inputs if isinstance(one, str)]

    @cached_property
    def prompt_characters(self) -> int:
        """Characters of all inputs that are text."""
        return sum(map(len, self.texts))

    @cached_property
    def prompt_token_count(self) -> int:
        """Tokens of all inputs that are token ids."""
        return sum(len(one) for one in self.inputs if not isinstance(one, str))
