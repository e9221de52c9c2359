"""The shapes of answers, as /docs shows them and tests hold the writers to them.

The writers make bytes from templates and never build these: an object for each token would cost more than all else.
`extra="forbid"` is what makes the check mean something.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

ChatFinish = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
TextFinish = Literal["stop", "length", "content_filter"]


class AnswerModel(BaseModel):
    """An object in an answer: every field that has no default is always there."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class PromptTokensDetails(AnswerModel):
    """What the prompt's tokens were."""

    cached_tokens: int = 0
    """Found in the prefix cache."""
    audio_tokens: int = 0
    """Always 0."""
    cache_write_tokens: int = 0
    """Always 0: the cache costs nothing to fill."""


class CompletionTokensDetails(AnswerModel):
    """What the completion's tokens were."""

    reasoning_tokens: int = 0
    """Spent on thinking."""
    audio_tokens: int = 0
    """Always 0."""
    accepted_prediction_tokens: int = 0
    """Always 0."""
    rejected_prediction_tokens: int = 0
    """Always 0."""


class Usage(AnswerModel):
    """What a request used, over all its choices."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    """Prompt and completion."""
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class TopLogprob(AnswerModel):
    """A token that might have been."""

    token: str
    logprob: float
    """Natural logarithm; -9999.0 stands for "not among the likeliest"."""
    bytes: list[int] | None
    """A token can be part of a character."""


class TokenLogprob(TopLogprob):
    """A token that was chosen, and the likeliest at its place."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(AnswerModel):
    """Log probabilities of a choice's tokens."""

    content: list[TokenLogprob] | None
    refusal: list[TokenLogprob] | None


class CalledFunction(AnswerModel):
    """A function and what the model calls it with."""

    name: str
    arguments: str
    """JSON text as the model wrote it: not necessarily valid."""


class FunctionCall(AnswerModel):
    """A call that the model wants made."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class AnswerMessage(AnswerModel):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None
    """Null beside calls."""
    refusal: str | None
    annotations: list[dict[str, object]] = []
    """Always empty."""
    reasoning_content: str | None = None
    """What the model thought, apart from what it says; only of models that think."""
    tool_calls: list[FunctionCall] | None = None
    function_call: CalledFunction | None = None
    """Deprecated form, for requests with `functions`."""


class ChatChoice(AnswerModel):
    """One of the answers."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinish


class ChatCompletion(AnswerModel):
    """A whole chat answer."""

    id: str
    """"chatcmpl-…"."""
    object: Literal["chat.completion"]
    created: int
    """Unix seconds."""
    model: str
    """The served model; an alias is resolved."""
    choices: list[ChatChoice]
    usage: Usage
    service_tier: str
    system_fingerprint: str
    """Changes with engine, weights, precision and parallelism."""


class CalledFunctionDelta(AnswerModel):
    """Part of a called function; the name comes once."""

    name: str | None = None
    arguments: str


class ToolCallDelta(AnswerModel):
    """Part of a call; id, type and name come once, in its first part."""

    index: int
    """Which call of the choice, from 0 without gaps."""
    id: str | None = None
    type: Literal["function"] | None = None
    function: CalledFunctionDelta


class ChatDelta(AnswerModel):
    """What is new."""

    role: Literal["assistant"] | None = None
    """Once per choice, in its first chunk."""
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: CalledFunctionDelta | None = None


class ChunkChoice(AnswerModel):
    """News of one of the answers."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinish | None
    """Set once per choice, in its last chunk."""


class ChatCompletionChunk(AnswerModel):
    """One event of a streamed chat answer."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    """Empty only in the last chunk of a stream with `include_usage`."""
    usage: Usage | None = None
    """Only with `include_usage`: null, but in the last chunk."""
    service_tier: str
    system_fingerprint: str


class TextLogprobs(AnswerModel):
    """Log probabilities in the legacy shape: four lists of the same length."""

    tokens: list[str]
    token_logprobs: list[float | None]
    """Null for the first token of an echoed prompt."""
    top_logprobs: list[dict[str, float] | None]
    """With the chosen token always among them."""
    text_offset: list[int]
    """Characters before each token."""


class TextChoice(AnswerModel):
    """One of the answers. `index` is the prompt's number times `n`, plus the choice's."""

    text: str
    index: int
    logprobs: TextLogprobs | None
    finish_reason: TextFinish


class Completion(AnswerModel):
    """A whole text completion."""

    id: str
    """"cmpl-…"."""
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage
    system_fingerprint: str


class TextChunkChoice(AnswerModel):
    """News of one of the answers."""

    text: str
    index: int
    logprobs: TextLogprobs | None
    finish_reason: TextFinish | None


class CompletionChunk(AnswerModel):
    """One event of a streamed text completion."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChunkChoice]
    usage: Usage | None = None
    system_fingerprint: str


class Embedding(AnswerModel):
    """One vector, of length 1."""

    object: Literal["embedding"]
    index: int
    """Which input, from 0."""
    embedding: list[float] | str
    """Numbers, or base64 of little-endian float32 when that was asked for."""


class EmbeddingUsage(AnswerModel):
    """What the inputs used."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(AnswerModel):
    """Vectors in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class ErrorBody(AnswerModel):
    """What is wrong."""

    message: str
    """For people."""
    type: str
    """Class of the failure, e.g. `invalid_request_error`."""
    param: str | None
    """Place of the fault in the request, e.g. `messages[0].role`."""
    code: str | None
    """The failure, for programs."""


class ErrorEnvelope(AnswerModel):
    """Every failure, on every endpoint."""

    error: ErrorBody
