"""What a request of the Responses API is made of: messages, calls of functions and what they returned."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Tag

from services.gateway.schema.base import FunctionName, RequestModel, text_or_list
from services.gateway.schema.messages import CacheBreakpoint, RefusalPart, UnservedPart

MAX_ITEMS = 2048
_SHAPE = "one of a string or array of objects"

ItemStatus = Literal["in_progress", "completed", "incomplete"]
ItemId = Annotated[str, Field(min_length=1, max_length=128)]
CallId = Annotated[str, Field(min_length=1, max_length=128)]


class InputText(RequestModel):
    """Text."""

    type: Literal["input_text"]
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputImage(UnservedPart):
    """An image. No served model takes one."""

    type: Literal["input_image"]


class InputFile(UnservedPart):
    """A file. No served model takes one."""

    type: Literal["input_file"]


class OutputText(RequestModel):
    """Text that the model said earlier, in the form in which it was answered."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any] | None = None
    """Part of answers, ignored when it comes back."""
    logprobs: list[Any] | None = None
    """Part of answers, ignored when it comes back."""


InputPart = Annotated[InputText | InputImage | InputFile, Field(discriminator="type")]
OutputPart = Annotated[OutputText | RefusalPart, Field(discriminator="type")]

InputContent = Annotated[
    Annotated[str, Tag("string")] | Annotated[list[InputPart], Field(min_length=1, fail_fast=True), Tag("array")],
    text_or_list(_SHAPE),
]
OutputContent = Annotated[
    Annotated[str, Tag("string")] | Annotated[list[OutputPart], Field(fail_fast=True), Tag("array")],
    text_or_list(_SHAPE),
]


class UserMessage(RequestModel):
    """What the user says."""

    type: Literal["message"]
    role: Literal["user"]
    content: InputContent
    id: ItemId | None = None
    status: ItemStatus | None = None


class SystemMessage(RequestModel):
    """Instructions that the conversation follows."""

    type: Literal["message"]
    role: Literal["system"]
    content: InputContent
    id: ItemId | None = None
    status: ItemStatus | None = None


class DeveloperMessage(RequestModel):
    """Instructions, by their newer name."""

    type: Literal["message"]
    role: Literal["developer"]
    content: InputContent
    id: ItemId | None = None
    status: ItemStatus | None = None


class AssistantMessage(RequestModel):
    """What the model said earlier."""

    type: Literal["message"]
    role: Literal["assistant"]
    content: OutputContent
    id: ItemId | None = None
    status: ItemStatus | None = None
    phase: Literal["commentary", "final_answer"] | None = None
    """Accepted: the models here do not tell the two apart."""


class FunctionCallItem(RequestModel):
    """A call that the model made."""

    type: Literal["function_call"]
    call_id: CallId
    """`function_call_output` names it."""
    name: FunctionName
    arguments: str
    """JSON text, as the model wrote it: not necessarily valid."""
    id: ItemId | None = None
    status: ItemStatus | None = None


class FunctionCallOutputItem(RequestModel):
    """What a called function returned."""

    type: Literal["function_call_output"]
    call_id: CallId
    output: InputContent
    id: ItemId | None = None
    status: ItemStatus | None = None


class ReasoningItem(RequestModel):
    """What the model thought earlier. Kept with the conversation; no model is told again."""

    type: Literal["reasoning"]
    id: ItemId | None = None
    summary: list[Any] | None = None
    content: list[Any] | None = None
    encrypted_content: str | None = None
    status: ItemStatus | None = None


class ItemReference(RequestModel):
    """An item of a stored response."""

    type: Literal["item_reference"]
    id: ItemId


def _typed(value: Any) -> Any:
    """Say what an item is that does not say it itself: a message has a role, a reference nothing but an id."""
    if isinstance(value, dict) and value.get("type") is None:
        if "role" in value:
            return value | {"type": "message"}
        if value.keys() <= {"id", "type"} and "id" in value:
            return value | {"type": "item_reference"}
    return value


Message = Annotated[
    UserMessage | SystemMessage | DeveloperMessage | AssistantMessage,
    Field(discriminator="role"),
]
InputItem = Annotated[
    Annotated[
        Message | FunctionCallItem | FunctionCallOutputItem | ReasoningItem | ItemReference,
        Field(discriminator="type"),
    ],
    BeforeValidator(_typed),
]
AnyItem = (
    UserMessage
    | SystemMessage
    | DeveloperMessage
    | AssistantMessage
    | FunctionCallItem
    | FunctionCallOutputItem
    | ReasoningItem
    | ItemReference
)

Input = Annotated[
    Annotated[str, Tag("string")]
    | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_ITEMS, fail_fast=True), Tag("array")],
    text_or_list(_SHAPE),
]
