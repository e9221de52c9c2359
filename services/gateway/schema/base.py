"""What all request types are made of: strict models, and unions that are chosen by JSON type."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, PlainValidator
from pydantic_core import PydanticCustomError, PydanticKnownError

WRONG_SHAPE = "wrong_shape"
"""Error type of a value that has none of the JSON types a union accepts; its message says what was expected."""


WRONG_ID = "wrong_id"
"""Error type of an array of token ids in which one is none; its context names the `index`."""

TOO_DEEP = "too_deep"
"""Error type of free JSON that is nested deeper than `MAX_DEPTH`."""

MAX_DEPTH = 64
"""Arrays and objects inside each other. Real tool schemas stay below 20."""


class RequestModel(BaseModel):
    """An object in a request: no conversions, nothing unknown, nothing changed afterwards. `null` means not given."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)


def text_or_list(expected: str) -> Discriminator:
    """Choose between the tags `string` and `array`; `expected` completes the error "expected …, but got …"."""
    return Discriminator(_text_or_list, custom_error_type=WRONG_SHAPE, custom_error_message=expected)


def _text_or_list(value: Any) -> str | None:
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else None


def text_or_object(expected: str) -> Discriminator:
    """Choose between the tags `string` and `object`."""
    return Discriminator(_text_or_object, custom_error_type=WRONG_SHAPE, custom_error_message=expected)


def _text_or_object(value: Any) -> str | None:
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else None


def text_or_tokens(expected: str) -> Discriminator:
    """Choose between `string`, `strings`, `tokens` and `token_lists`: an array is what its first element makes it."""
    return Discriminator(_text_or_tokens, custom_error_type=WRONG_SHAPE, custom_error_message=expected)


def _text_or_tokens(value: Any) -> str | None:
    if isinstance(value, str):
        return "string"
    if not isinstance(value, list):
        return None
    if not value or isinstance(value[0], str):
        return "strings"
    return "token_lists" if isinstance(value[0], list) else "tokens"


LARGEST_TOKEN_ID = 2**31 - 1
"""Whether the model's vocabulary has it, the engine knows."""


def _tokens(value: Any) -> list[int]:
    """Check token ids at the speed of C: a request can have hundreds of thousands of them."""
    if type(value) is not list:
        raise PydanticKnownError("list_type")
    if not value:
        raise PydanticKnownError("too_short", {"field_type": "List", "min_length": 1, "actual_length": 0})
    if set(map(type, value)) == {int} and min(value) >= 0 and max(value) <= LARGEST_TOKEN_ID:
        return value
    wrong = next(i for i, token in enumerate(value) if type(token) is not int or not 0 <= token <= LARGEST_TOKEN_ID)
    raise PydanticCustomError(WRONG_ID, "no token id", {"index": wrong})


Tokens = Annotated[
    list[int],
    PlainValidator(_tokens, json_schema_input_type=Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]),
]
"""A text as token ids."""

TokenCount = Annotated[int, Field(ge=1, le=2**31 - 1)]

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
"""A client's own notes: up to 16 pairs."""

FunctionName = Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$")]


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is nested too deep, level by level: writers and engines recurse less than our parser."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return value
    raise PydanticCustomError(TOO_DEEP, "nested too deep")


JsonObject = Annotated[dict[str, Any], AfterValidator(_bounded)]
"""Free JSON, not nested deeper than `MAX_DEPTH`. All else in a body is as deep as its type."""
