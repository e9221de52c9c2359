"""The parameters that chat and legacy completions share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, Tag

from services.gateway import request_errors
from services.gateway.schema.base import RequestModel, text_or_list

Stop = Annotated[
    Annotated[str, Field(min_length=1), Tag("string")]
    | Annotated[
        list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=4, fail_fast=True), Tag("array")
    ],
    text_or_list("one of a string or array of strings"),
]
BiasedToken = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]


class StreamOptions(RequestModel):
    """What a stream holds beside its chunks."""

    include_usage: bool | None = None
    """True: a last chunk without choices tells the usage, and all others have `usage: null`."""
    include_obfuscation: bool | None = None
    """Accepted; chunks are never padded here."""


class SamplingRequest(RequestModel):
    """How to choose tokens and how to deliver them."""

    model: Annotated[str, Field(min_length=1, max_length=512)]
    """Name of the model."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 takes the likeliest token. Default 1."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Choose among the likeliest tokens that have this much probability together. Default 1."""
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    """Choices to generate. Default 1."""
    stop: Stop | None = None
    """Up to 4 texts that end the answer and are left out of it."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Lowers the probability of tokens that occurred. Default 0."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Lowers the probability of tokens by how often they occurred. Default 0."""
    logit_bias: Annotated[dict[BiasedToken, Bias], Field(max_length=1024)] | None = None
    """Token id to bias: 100 makes it the only one, -100 bans it."""
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    """Makes sampling repeatable as far as `system_fingerprint` stays the same."""
    stream: bool | None = None
    """True: the answer comes as server-sent events while it is made."""
    stream_options: StreamOptions | None = None
    """Only with `stream`."""
    user: str | None = None
    """The end user, in the client's own terms."""

    @property
    def choice_count(self) -> int:
        """Choices per prompt."""
        return self.n or 1

    @property
    def stop_texts(self) -> Sequence[str]:
        """Texts that end an answer."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else self.stop

    @property
    def biases(self) -> Mapping[int, float]:
        """Bias by token id."""
        return {int(token): bias for token, bias in self.logit_bias.items()} if self.logit_bias else {}

    @property
    def wants_usage_chunk(self) -> bool:
        """Whether the stream ends with a chunk that tells the usage."""
        return bool(self.stream and self.stream_options and self.stream_options.include_usage)

    def check_stream_options(self) -> None:
        """Raise `ApiError` when options are given for a stream that was not asked for."""
        if self.stream_options is not None and not self.stream:
            raise request_errors.stream_options_without_stream()
