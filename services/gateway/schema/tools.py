"""Functions that a model may call, and how a request says whether it must."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, Tag

from services.gateway.schema.base import FunctionName, JsonObject, RequestModel, text_or_object
from services.gateway.schema.messages import UnservedPart

MAX_TOOLS = 128


class Function(RequestModel):
    """A function."""

    name: FunctionName
    description: Annotated[str, Field(max_length=2**16)] | None = None
    """What it does, for the model."""
    parameters: JsonObject | None = None
    """JSON Schema of its arguments; absent: it has none."""
    strict: bool | None = None
    """True: arguments are forced to follow the schema, which must then be closed in every object."""

    @cached_property
    def parameters_json(self) -> str:
        """The schema as JSON text; empty without one."""
        return "" if self.parameters is None else orjson.dumps(self.parameters).decode()


class FunctionTool(RequestModel):
    """A function as a tool."""

    type: Literal["function"]
    function: Function


class CustomTool(UnservedPart):
    """A tool with free input. No served model has them."""

    type: Literal["custom"]
    custom: dict[str, Any]


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class NamedFunction(RequestModel):
    """A function by its name."""

    name: FunctionName


class NamedToolChoice(RequestModel):
    """One function must be called."""

    type: Literal["function"]
    function: NamedFunction


class AllowedTool(RequestModel):
    """One of the tools."""

    type: Literal["function"]
    function: NamedFunction


class AllowedTools(RequestModel):
    """Some of the tools."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[AllowedTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


class AllowedToolsChoice(RequestModel):
    """Only these tools may (auto) or must (required) be called."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class CustomToolChoice(UnservedPart):
    """One custom tool must be called. No served model has them."""

    type: Literal["custom"]
    custom: dict[str, str]


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("string")]
    | Annotated[NamedToolChoice | AllowedToolsChoice | CustomToolChoice, Field(discriminator="type"), Tag("object")],
    text_or_object("one of a string or object"),
]

FunctionChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag("string")] | Annotated[NamedFunction, Tag("object")],
    text_or_object("one of a string or object"),
]


@dataclass(frozen=True, slots=True)
class Calling:
    """What a request says about functions, whichever form it used."""

    functions: tuple[Function, ...] = ()
    """Those that may be called."""
    mode: Literal["none", "auto", "required", "named"] = "none"
    name: str = ""
    """The one to call, with mode "named"."""
    parallel: bool = True
    """False: at most one call."""
    legacy: bool = False
    """True: the answer has `function_call` instead of `tool_calls`."""
