"""The body of `POST /v1/completions`, the older endpoint that continues a text."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, cast

from pydantic import Field, Tag, model_validator

from services.gateway import request_errors
from services.gateway.api_error import ApiError
from services.gateway.schema.base import Tokens, text_or_tokens
from services.gateway.schema.sampling import SamplingRequest

MAX_PROMPTS = 128
DEFAULT_PROMPT = "<|endoftext|>"
DEFAULT_MAX_TOKENS = 16

Prompt = Annotated[
    Annotated[str, Tag("string")]
    | Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True), Tag("strings")]
    | Annotated[Tokens, Tag("tokens")]
    | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True), Tag("token_lists")],
    text_or_tokens("one of a string, array of strings, array of integers, or array of integer arrays"),
]


class CompletionRequest(SamplingRequest):
    """Texts to continue."""

    prompt: Prompt | None = None
    """One or several texts, as strings or as token ids. Default: the beginning of a document."""
    max_tokens: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Most tokens to generate per choice. Default 16."""
    best_of: Annotated[int, Field(ge=0, le=20)] | None = None
    """Candidates to generate on the server, of which the best `n` are answered. Default `n`."""
    echo: bool | None = None
    """True: begin the answer with the prompt."""
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    """How many of the likeliest tokens to tell at each place, beside the chosen one."""
    suffix: str | None = None
    """Refused: no served model fills in the middle."""

    @model_validator(mode="after")
    def _check(self) -> CompletionRequest:
        if self.suffix is not None:
            raise request_errors.unsupported_parameter("suffix")
        self.check_stream_options()
        if self.best_of is not None:
            if self.stream and self.best_of > 1:
                raise request_errors.only_allowed_when("best_of", "'stream' is not enabled")
            if self.best_of < self.choice_count:
                raise ApiError(
                    400,
                    f"Invalid value for 'best_of': 'best_of' must be at least 'n', which is {self.choice_count}.",
                    param="best_of",
                )
        return self

    @property
    def token_ceiling(self) -> int:
        """Most tokens to generate per choice."""
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def candidate_count(self) -> int:
        """Completions to generate per prompt; `choice_count` of them are answered."""
        return max(self.best_of or 0, self.choice_count)

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts in order, each as text or as token ids."""
        if self.prompt is None:
            return [DEFAULT_PROMPT]
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return cast("list[str | list[int]]", self.prompt)

    @property
    def text_offsets(self) -> list[int]:
        """Characters of the prompt that stand before each choice's text; of token ids none are known."""
        unseen = [0 if self.echo or not isinstance(prompt, str) else len(prompt) for prompt in self.prompts]
        return [offset for offset in unseen for _ in range(self.choice_count)]

    @property
    def texts(self) -> list[str]:
        """The prompts that are text."""
        return [prompt for prompt in self.prompts if isinstance(prompt, str)]

    @cached_property
    def prompt_characters(self) -> int:
        """Characters of all prompts that are text."""
        return sum(map(len, self.texts))

    @cached_property
    def prompt_token_count(self) -> int:
        """Tokens of all prompts that are token ids."""
        return sum(len(prompt) for prompt in self.prompts if not isinstance(prompt, str))
