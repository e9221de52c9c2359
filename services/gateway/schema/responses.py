"""The body of `POST /v1/responses`."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

import orjson
from pydantic import ConfigDict, Field, Tag, model_validator

from services.gateway import request_errors
from services.gateway.api_error import ApiError
from services.gateway.schema.base import FunctionName, JsonObject, Metadata, RequestModel, text_or_object
from services.gateway.schema.messages import UnservedPart
from services.gateway.schema.response_format import JsonObjectFormat, TextFormat
from services.gateway.schema.response_items import Input
from services.gateway.schema.strict_schema import problem_of, violation
from services.gateway.schema.tools import MAX_TOOLS, Calling, Function

LOGPROBS = "message.output_text.logprobs"
UNSERVED_TOOLS = Literal[
    "file_search",
    "computer",
    "computer_use_preview",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "mcp",
    "code_interpreter",
    "image_generation",
    "local_shell",
    "shell",
    "custom",
    "namespace",
    "tool_search",
    "apply_patch",
]


class FunctionTool(RequestModel):
    """A function that the model may call."""

    type: Literal["function"]
    name: FunctionName
    description: Annotated[str, Field(max_length=2**16)] | None = None
    """What it does, for the model."""
    parameters: JsonObject | None = None
    """JSON Schema of its arguments; absent: it has none."""
    strict: bool | None = None
    """True: arguments are forced to follow the schema. Default: true where the schema is closed in every object."""

    @property
    def is_strict(self) -> bool:
        """Whether arguments are forced, said or not."""
        if self.strict is None:
            return self.parameters is not None and violation(self.parameters) is None
        return self.strict

    @property
    def function(self) -> Function:
        """The function itself."""
        return Function(name=self.name, description=self.description, parameters=self.parameters, strict=self.is_strict)


class HostedTool(UnservedPart):
    """A tool that the platform itself would run. None is served."""

    type: UNSERVED_TOOLS


Tool = Annotated[FunctionTool | HostedTool, Field(discriminator="type")]


class NamedTool(RequestModel):
    """One function."""

    type: Literal["function"]
    name: FunctionName


class AllowedTools(RequestModel):
    """Only these functions may (auto) or must (required) be called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


class HostedToolChoice(UnservedPart):
    """One hosted tool. None is served."""

    type: UNSERVED_TOOLS


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("string")]
    | Annotated[NamedTool | AllowedTools | HostedToolChoice, Field(discriminator="type"), Tag("object")],
    text_or_object("one of a string or object"),
]


class JsonSchemaFormat(RequestModel):
    """JSON that follows a schema."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=False)

    type: Literal["json_schema"]
    name: FunctionName
    schema_: Annotated[JsonObject, Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None
    """True: the schema must be closed in every object."""


class TextOptions(RequestModel):
    """How the answer's text shall be."""

    format: Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")] | None = None
    """Its shape. Default: free text."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """Only medium is served."""


class ReasoningOptions(RequestModel):
    """How to think, for models that can."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """How hard."""
    summary: Literal["auto", "concise", "detailed"] | None = None
    """Accepted: what was thought is answered itself, not summed up."""
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    """Deprecated name of `summary`."""


class ResponseStreamOptions(RequestModel):
    """What a stream holds beside its events."""

    include_obfuscation: bool | None = None
    """Accepted; events are never padded here."""


class ResponseRequest(RequestModel):
    """Something to respond to."""

    model: Annotated[str, Field(min_length=1, max_length=512)]
    """Name of the model."""
    input: Input
    """A text, or the items of a conversation."""
    instructions: str | None = None
    """Comes before all else; those of an earlier response are not carried over."""
    previous_response_id: str | None = None
    """A stored response that this one goes on from."""
    max_output_tokens: Annotated[int, Field(ge=16, le=2**31 - 1)] | None = None
    """Most tokens to generate, reasoning included. Default: to the end of the model's context."""
    max_tool_calls: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Accepted: it bounds calls of hosted tools, and there are none."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 takes the likeliest token. Default 1."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Choose among the likeliest tokens that have this much probability together. Default 1."""
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    """How many of the likeliest tokens to tell at each place, where `include` asks for log probabilities."""
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    """Functions that the model may call."""
    tool_choice: ToolChoice | None = None
    """Whether it must. Default auto."""
    parallel_tool_calls: bool | None = None
    """False: at most one call. Default true."""
    text: TextOptions | None = None
    """How the answer's text shall be."""
    reasoning: ReasoningOptions | None = None
    """How to think."""
    include: (
        list[
            Literal[
                "file_search_call.results",
                "web_search_call.results",
                "web_search_call.action.sources",
                "message.input_image.image_url",
                "computer_call_output.output.image_url",
                "code_interpreter_call.outputs",
                "reasoning.encrypted_content",
                "message.output_text.logprobs",
            ]
        ]
        | None
    ) = None
    """What more to answer. Only `message.output_text.logprobs` has something to add here."""
    store: bool | None = None
    """False: the response is not kept. Default true."""
    stream: bool | None = None
    """True: the answer comes as server-sent events while it is made."""
    stream_options: ResponseStreamOptions | None = None
    """Only with `stream`."""
    truncation: Literal["disabled", "auto"] | None = None
    """Only disabled is served: a conversation that is too long is refused."""
    metadata: Metadata | None = None
    """The client's own notes, kept with the response."""
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    """How soon it is served, and at which price: priority (also fast and scale), flex, or default (all others)."""
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    """The end user, for abuse reports."""
    prompt_cache_key: str | None = None
    """Accepted: prefixes are found here by themselves."""
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    """Accepted, as `prompt_cache_key`."""
    prompt_cache_options: JsonObject | None = None
    """Accepted, as `prompt_cache_key`."""
    user: str | None = None
    """The end user, in the client's own terms."""
    background: bool | None = None
    """Only false is served."""
    conversation: Any = None
    """Refused: go on from `previous_response_id`."""
    prompt: Any = None
    """Refused: there are no prompt templates here."""
    context_management: Any = None
    """Refused: nothing is compacted here."""
    moderation: Any = None
    """Refused: the project's policy says what is moderated."""

    @model_validator(mode="after")
    def _check(self) -> ResponseRequest:
        self._check_served()
        if self.stream_options is not None and not self.stream:
            raise request_errors.stream_options_without_stream()
        self._check_tools()
        self._check_format()
        return self

    def _check_served(self) -> None:
        for name in ("conversation", "prompt", "context_management", "moderation"):
            if getattr(self, name) is not None:
                raise request_errors.unsupported_parameter(name)
        if self.background:
            raise request_errors.unsupported_parameter("background", "Only requests in the foreground are served.")
        if self.truncation == "auto":
            raise request_errors.unsupported_value("truncation", "auto")
        if self.text is not None and self.text.verbosity not in (None, "medium"):
            raise request_errors.unsupported_value("text.verbosity", self.text.verbosity)

    def _check_tools(self) -> None:
        choice = self.tool_choice
        names = {tool.name for tool in self.functions}
        if choice == "required" and not names:
            raise request_errors.only_allowed_when("tool_choice", "'tools' are specified")
        wanted = [choice] if isinstance(choice, NamedTool) else choice.tools if isinstance(choice, AllowedTools) else []
        for tool in wanted:
            if tool.name not in names:
                raise ApiError(400, f"Tool choice 'function' '{tool.name}' not found in 'tools'.", param="tool_choice")
        for index, function in enumerate(self.functions):
            problem = (
                problem_of(function.parameters, strict=function.strict) if function.parameters is not None else None
            )
            if problem is not None:
                raise ApiError(
                    400,
                    f"Invalid schema for function '{function.name}': {problem}",
                    code="invalid_function_parameters",
                    param=f"tools[{index}].parameters",
                )

    def _check_format(self) -> None:
        shape = self.shape
        if not isinstance(shape, JsonSchemaFormat):
            return
        if (problem := problem_of(shape.schema_, strict=shape.strict)) is not None:
            raise ApiError(
                400,
                f"Invalid schema for response_format '{shape.name}': {problem}",
                code="invalid_json_schema",
                param="text.format.schema",
            )

    @property
    def functions(self) -> list[FunctionTool]:
        """The functions among the tools, and there is nothing else."""
        return [tool for tool in self.tools or () if isinstance(tool, FunctionTool)]

    @property
    def shape(self) -> TextFormat | JsonObjectFormat | JsonSchemaFormat:
        """The shape of the answer's text."""
        return (self.text.format if self.text else None) or TextFormat(type="text")

    @property
    def keeps(self) -> bool:
        """Whether the response is to be stored."""
        return self.store is not False

    @property
    def wants_logprobs(self) -> bool:
        """Whether the log probability of each token is asked for."""
        return LOGPROBS in (self.include or ())

    @cached_property
    def calling(self) -> Calling:
        """What may or must be called."""
        functions = tuple(tool.function for tool in self.functions)
        if not functions:
            return Calling()
        parallel = self.parallel_tool_calls is not False
        match self.tool_choice:
            case None:
                return Calling(functions, "auto", parallel=parallel)
            case "none" | "auto" | "required" as mode:
                return Calling(functions, mode, parallel=parallel)
            case NamedTool(name=name):
                return Calling(functions, "named", name, parallel)
            case AllowedTools(tools=tools, mode=mode):
                names = {tool.name for tool in tools}
                kept = tuple(function for function in functions if function.name in names)
                return Calling(kept, mode, parallel=parallel)
            case _:
                raise AssertionError("hosted tools do not pass validation")

    @property
    def json_schema(self) -> str:
        """The schema that the answer must follow, as JSON text; empty: it follows none."""
        shape = self.shape
        return orjson.dumps(shape.schema_).decode() if isinstance(shape, JsonSchemaFormat) else ""
