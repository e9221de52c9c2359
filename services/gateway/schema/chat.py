"""The body of `POST /v1/chat/completions`."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from services.gateway import request_errors
from services.gateway.schema.base import JsonObject, Metadata, RequestModel, TokenCount
from services.gateway.schema.chat_rules import check_chat
from services.gateway.schema.messages import AssistantMessage, ChatMessage, text_of
from services.gateway.schema.response_format import JsonObjectFormat, JsonSchemaFormat, ResponseFormat
from services.gateway.schema.sampling import SamplingRequest
from services.gateway.schema.tools import (
    MAX_TOOLS,
    AllowedToolsChoice,
    Calling,
    Function,
    FunctionChoice,
    NamedToolChoice,
    Tool,
    ToolChoice,
)

MAX_MESSAGES = 2048


class PromptCacheOptions(RequestModel):
    """How prompts are cached. Accepted: prefixes are found here by themselves."""

    ttl: str | None = None
    mode: Literal["implicit", "explicit"] | None = None


class ChatCompletionRequest(SamplingRequest):
    """A conversation to continue."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    """The conversation so far."""
    max_completion_tokens: TokenCount | None = None
    """Most tokens to generate per choice, reasoning included. Default: to the end of the model's context."""
    max_tokens: TokenCount | None = None
    """Deprecated name of `max_completion_tokens`, which wins."""
    logprobs: bool | None = None
    """True: tell the log probability of each token."""
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    """How many of the likeliest tokens to tell at each place. Needs `logprobs`."""
    tools: Annotated[list[Tool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)] | None = None
    """Functions that the model may call."""
    tool_choice: ToolChoice | None = None
    """Whether it must. Default: none without tools, auto with them."""
    parallel_tool_calls: bool | None = None
    """False: at most one call. Default true."""
    functions: Annotated[list[Function], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)] | None = None
    """Deprecated form of `tools`."""
    function_call: FunctionChoice | None = None
    """Deprecated form of `tool_choice`."""
    response_format: ResponseFormat | None = None
    """Shape of the answer. Default: free text."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """How hard to think, for models that can."""
    metadata: Metadata | None = None
    """The client's own notes, up to 16 pairs, kept with a stored completion."""
    store: bool | None = None
    """True: keep the completion for later retrieval."""
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    """How soon it is served, and at which price: priority (also fast and scale), flex, or default (all others)."""
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    """The end user, for abuse reports."""
    prompt_cache_key: str | None = None
    """Accepted: prefixes are found here by themselves."""
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    """Accepted, as `prompt_cache_key`."""
    prompt_cache_options: PromptCacheOptions | None = None
    """Accepted, as `prompt_cache_key`."""
    prediction: JsonObject | None = None
    """Accepted: a hint about the answer that would only make it faster."""
    modalities: Annotated[list[Literal["text", "audio"]], Field(min_length=1, max_length=2)] | None = None
    """Only text is served."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """Only medium is served."""
    audio: Any = None
    """Refused: no served model speaks."""
    web_search_options: Any = None
    """Refused: nothing here searches the web."""
    moderation: Any = None
    """Refused: the project's policy says what is moderated."""

    @model_validator(mode="after")
    def _check(self) -> ChatCompletionRequest:
        self._check_served()
        self.check_stream_options()
        if self.top_logprobs is not None and not self.logprobs:
            raise request_errors.only_allowed_when("top_logprobs", "'logprobs' is enabled")
        check_chat(self)
        return self

    def _check_served(self) -> None:
        for name in ("audio", "web_search_options", "moderation"):
            if getattr(self, name) is not None:
                raise request_errors.unsupported_parameter(name)
        if self.modalities is not None and self.modalities != ["text"]:
            raise request_errors.unsupported_value("modalities", ",".join(self.modalities))
        if self.verbosity not in (None, "medium"):
            raise request_errors.unsupported_value("verbosity", self.verbosity)

    @property
    def token_ceiling(self) -> int | None:
        """Most tokens to generate per choice; None: to the end of the context."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def texts(self) -> list[str]:
        """The text of each message."""
        return [text_of(message) for message in self.messages]

    @cached_property
    def prompt_characters(self) -> int:
        """Characters that the model will read, but for what the chat template adds."""
        count = 0
        for message in self.messages:
            content = message.content
            count += len(content) if isinstance(content, str) else len(text_of(message))
            if message.role == "assistant" and message.tool_calls:
                count += sum(_call_characters(message))
        for function in self.calling.functions:
            count += len(function.name) + len(function.description or "") + len(function.parameters_json)
        return count

    @cached_property
    def calling(self) -> Calling:
        """What may or must be called, from whichever form the request used."""
        if self.functions:
            choice = self.function_call
            return Calling(
                functions=tuple(self.functions),
                mode=(choice or "auto") if choice is None or isinstance(choice, str) else "named",
                name="" if choice is None or isinstance(choice, str) else choice.name,
                parallel=False,
                legacy=True,
            )
        if not self.tools:
            return Calling()
        functions = tuple(tool.function for tool in self.tools if tool.type == "function")
        parallel = self.parallel_tool_calls is not False
        match self.tool_choice:
            case None:
                return Calling(functions, "auto", parallel=parallel)
            case "none" | "auto" | "required" as mode:
                return Calling(functions, mode, parallel=parallel)
            case NamedToolChoice(function=named):
                return Calling(functions, "named", named.name, parallel)
            case AllowedToolsChoice(allowed_tools=allowed):
                names = {tool.function.name for tool in allowed.tools}
                kept = tuple(function for function in functions if function.name in names)
                return Calling(kept, allowed.mode, parallel=parallel)
            case _:
                raise AssertionError("custom tools do not pass validation")

    @property
    def json_schema(self) -> JsonObject | None:
        """The schema that the answer must follow; None: it follows none."""
        if isinstance(self.response_format, JsonSchemaFormat):
            return self.response_format.json_schema.schema_
        return None

    @property
    def wants_json_object(self) -> bool:
        """Whether the answer must be some JSON object."""
        if isinstance(self.response_format, JsonSchemaFormat):
            return self.response_format.json_schema.schema_ is None
        return isinstance(self.response_format, JsonObjectFormat)


def _call_characters(message: AssistantMessage) -> list[int]:
    return [
        len(call.function.name) + len(call.function.arguments)
        for call in message.tool_calls or ()
        if call.type == "function"
    ]
