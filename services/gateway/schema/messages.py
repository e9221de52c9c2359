"""The messages of a conversation, by role."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NoReturn

from pydantic import Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from services.gateway.schema.base import FunctionName, RequestModel, text_or_list

UNSUPPORTED_VALUE = "unsupported_value"
"""Error type of a value that OpenAI has and nothing here can serve; its context names `field` and `value`."""

AuthorName = Annotated[str, Field(max_length=64)]
_SHAPE = "one of a string or array of objects"


class CacheBreakpoint(RequestModel):
    """Where a reusable prefix ends. Accepted: prefixes are found here by themselves."""

    mode: Literal["explicit"]


class TextPart(RequestModel):
    """Text."""

    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class RefusalPart(RequestModel):
    """A refusal that the model gave earlier."""

    type: Literal["refusal"]
    refusal: str


class UnservedPart(RequestModel):
    """A kind of content that no served model takes: known, and refused by name."""

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, value: Any) -> NoReturn:
        kind = value["type"] if isinstance(value, dict) else ""
        raise PydanticCustomError(UNSUPPORTED_VALUE, "unsupported {value}", {"field": "type", "value": kind})


class ImagePart(UnservedPart):
    """An image. No served model takes one."""

    type: Literal["image_url"]
    image_url: dict[str, str]
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class AudioPart(UnservedPart):
    """A sound. No served model takes one."""

    type: Literal["input_audio"]
    input_audio: dict[str, str]
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class FilePart(UnservedPart):
    """A file. No served model takes one."""

    type: Literal["file"]
    file: dict[str, str]
    prompt_cache_breakpoint: CacheBreakpoint | None = None


UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]

TextContent = Annotated[
    Annotated[str, Tag("string")] | Annotated[list[TextPart], Field(min_length=1, fail_fast=True), Tag("array")],
    text_or_list(_SHAPE),
]
UserContent = Annotated[
    Annotated[str, Tag("string")] | Annotated[list[UserPart], Field(min_length=1, fail_fast=True), Tag("array")],
    text_or_list(_SHAPE),
]
AssistantContent = Annotated[
    Annotated[str, Tag("string")] | Annotated[list[AssistantPart], Field(min_length=1, fail_fast=True), Tag("array")],
    text_or_list(_SHAPE),
]


class CalledFunction(RequestModel):
    """A function and what it was called with."""

    name: FunctionName
    arguments: str
    """JSON text, as the model wrote it: not necessarily valid."""


class FunctionCall(RequestModel):
    """A call that the model made."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class CustomCall(UnservedPart):
    """A call of a custom tool. No served model has them."""

    type: Literal["custom"]
    id: str
    custom: dict[str, str]


ToolCall = Annotated[FunctionCall | CustomCall, Field(discriminator="type")]


class SystemMessage(RequestModel):
    """Instructions that the conversation follows."""

    role: Literal["system"]
    content: TextContent
    name: AuthorName | None = None


class DeveloperMessage(RequestModel):
    """Instructions, by their newer name."""

    role: Literal["developer"]
    content: TextContent
    name: AuthorName | None = None


class UserMessage(RequestModel):
    """What the user says."""

    role: Literal["user"]
    content: UserContent
    name: AuthorName | None = None


class AssistantMessage(RequestModel):
    """What the model said or called earlier, in the form in which it was answered."""

    role: Literal["assistant"]
    content: AssistantContent | None = None
    """May be absent only beside calls or a refusal."""
    refusal: str | None = None
    name: AuthorName | None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1, fail_fast=True)] | None = None
    function_call: CalledFunction | None = None
    """Deprecated form of `tool_calls`."""
    annotations: list[Any] | None = None
    """Part of answers, ignored when it comes back."""
    audio: None = None
    """Part of answers, always null here."""
    reasoning_content: str | None = None
    """Part of answers, ignored when it comes back."""


class ToolMessage(RequestModel):
    """What a called function returned."""

    role: Literal["tool"]
    content: TextContent
    tool_call_id: str
    """`id` of the call that it answers."""


class FunctionMessage(RequestModel):
    """What a called function returned, in the deprecated form."""

    role: Literal["function"]
    name: FunctionName
    content: str | None = None


ChatMessage = Annotated[
    DeveloperMessage | SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]
AnyMessage = DeveloperMessage | SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


def text_of(message: AnyMessage) -> str:
    """The message's text; the parts of an array follow each other without a separator, as the client cut them."""
    content = message.content
    if isinstance(content, str):
        return content
    return "" if content is None else "".join(map(_part_text, content))


def _part_text(part: UserPart | AssistantPart) -> str:
    match part.type:
        case "text":
            return part.text
        case "refusal":
            return part.refusal
        case _:
            raise AssertionError(f"{part.type} does not pass validation")
