"""The shapes of responses and of kept answers, as /docs shows them and tests hold the writers to them."""

from __future__ import annotations

from typing import Any, Literal

from services.gateway.schema.answers import AnswerModel, ChatCompletion, TokenLogprob

Status = Literal["completed", "incomplete", "in_progress", "failed"]


class OutputTextPart(AnswerModel):
    """Text of a message."""

    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]]
    """Always empty."""
    logprobs: list[TokenLogprob]
    """Empty unless the request includes them."""


class OutputMessage(AnswerModel):
    """What the model says."""

    id: str
    """"msg_…"."""
    type: Literal["message"]
    role: Literal["assistant"]
    status: Status
    content: list[OutputTextPart]


class OutputFunctionCall(AnswerModel):
    """A call that the model wants made."""

    id: str
    """"fc_…"."""
    type: Literal["function_call"]
    status: Status
    call_id: str
    """"call_…": what `function_call_output` answers."""
    name: str
    arguments: str
    """JSON text as the model wrote it: not necessarily valid."""


class ReasoningText(AnswerModel):
    """Thoughts."""

    type: Literal["reasoning_text"]
    text: str


class OutputReasoning(AnswerModel):
    """What the model thought, apart from what it says; only of models that think."""

    id: str
    """"rs_…"."""
    type: Literal["reasoning"]
    status: Status
    summary: list[dict[str, Any]]
    """Always empty."""
    content: list[ReasoningText]


class InputTokensDetails(AnswerModel):
    """What the input's tokens were."""

    cached_tokens: int
    """Found in the prefix cache."""
    cache_write_tokens: int
    """Always 0: the cache costs nothing to fill."""


class OutputTokensDetails(AnswerModel):
    """What the output's tokens were."""

    reasoning_tokens: int
    """Spent on thinking."""


class ResponseUsage(AnswerModel):
    """What a response used."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int
    """Input and output."""


class IncompleteDetails(AnswerModel):
    """Why a response ended before the model did."""

    reason: Literal["max_output_tokens"]


class ResponseError(AnswerModel):
    """What broke a response."""

    code: Literal["server_error"]
    message: str


class Response(AnswerModel):
    """A response. What is not described repeats the request, as it takes effect."""

    id: str
    """"resp_…"."""
    object: Literal["response"]
    created_at: int
    """Unix seconds."""
    completed_at: int | None
    """Unix seconds; null unless it is completed."""
    status: Status
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    model: str
    """The served model; an alias is resolved."""
    output: list[OutputReasoning | OutputMessage | OutputFunctionCall]
    usage: ResponseUsage | None
    """Null until it has ended."""
    background: Literal[False]
    frequency_penalty: float
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    presence_penalty: float
    previous_response_id: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    reasoning: dict[str, str | None]
    safety_identifier: str | None
    service_tier: str
    store: bool
    """Whether it is kept: what is true when the response has ended, what is wanted before."""
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: Literal["disabled"]
    user: str | None


class Page(AnswerModel):
    """Part of a list."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str
    """Id of the first of `data`; empty without one."""
    last_id: str
    """Id of the last of `data`; `after` takes it to get the next page."""
    has_more: bool


class KeptChatCompletion(ChatCompletion):
    """A chat completion that was stored."""

    metadata: dict[str, str]


class Deleted(AnswerModel):
    """What is gone."""

    id: str
    object: Literal["response", "chat.completion.deleted"]
    deleted: Literal[True]


class TokenCount(AnswerModel):
    """How long an input is."""

    object: Literal["response.input_tokens"]
    input_tokens: int
