"""From pydantic's errors to the one error that OpenAI would answer.

One row of `_ROWS` per kind of error that our types can produce; a kind without a row is answered as an invalid value,
with no text of pydantic's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from pydantic_core import ErrorDetails

from services.gateway import request_errors
from services.gateway.api_error import ApiError
from services.gateway.request_errors import LONGEST_ECHO
from services.gateway.schema.base import LARGEST_TOKEN_ID, MAX_DEPTH, TOO_DEEP, WRONG_ID, WRONG_SHAPE
from services.gateway.schema.messages import UNSUPPORTED_VALUE

_QUOTED = re.compile(r"'([^']*)'")

# What the elements of our arrays are, where an error says what an array would have been right.
_ELEMENTS: Mapping[str, str] = {
    "messages": "objects",
    "tools": "objects",
    "tool_calls": "objects",
    "functions": "objects",
    "modalities": "strings",
}
_LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of pydantic's, with its place in the client's own terms."""

    path: str
    """As the client wrote it, e.g. `messages[0].content[1].type`."""
    value: Any
    """What stands there."""
    kind: str
    message: str
    """Pydantic's text, never to be shown unless it is ours."""
    context: Mapping[str, Any]

    @property
    def depth(self) -> int:
        """0 for a parameter itself."""
        return self.path.count(".") + self.path.count("[")


def first_fault(body: Any, errors: Iterable[ErrorDetails]) -> Fault:
    """Choose the fault to mend first: an absent model, an unknown parameter, an absent one, the first wrong one."""
    return min((_fault(body, details) for details in errors), key=_rank)


def _rank(fault: Fault) -> int:
    if fault.depth == 0:
        if fault.path == "model" and fault.kind in ("missing", "string_too_short"):
            return 0
        if fault.kind == "missing":
            return 2
        if fault.kind == "extra_forbidden":
            return 1
    return 3


def _fault(body: Any, details: ErrorDetails) -> Fault:
    kind = details["type"]
    location = details["loc"]
    # An absent key is in no document, and a refused kind of object is named by its branch: the last step is neither.
    ends_beyond = kind in ("missing", UNSUPPORTED_VALUE)
    path = place(body, location[:-1] if ends_beyond else location, location[-1] if kind == "missing" else None)
    if kind == "missing":
        path = f"{path}.{location[-1]}" if path else str(location[-1])
    return Fault(path, details["input"], kind, details["msg"], details.get("ctx", {}))


def place(body: Any, location: Sequence[int | str], absent: int | str | None = None) -> str:
    """Write pydantic's location as a path into `body`.

    A location also holds the names of the union branches that were taken. They are told from keys by walking along:
    what is no key or index at its place is a branch, and so is the tag of an object if one of its keys follows. A place
    that lacks the key `absent` is none that has it.
    """
    path = ""
    tagged = False
    for step, following in zip_longest(location, location[1:]):
        if isinstance(step, int):
            if isinstance(body, list) and step < len(body):
                body, tagged = body[step], False
                path += f"[{step}]"
        elif isinstance(body, dict) and step in body:
            inside = body[step]
            lacks = following is not None or absent is None or not isinstance(inside, dict) or absent not in inside
            if not tagged and step in (body.get("type"), body.get("role")) and (following in body or not lacks):
                tagged = True
                continue
            body, tagged = inside, False
            name = step if len(step) <= LONGEST_ECHO else step[:LONGEST_ECHO] + "…"
            path += f".{name}" if path else name
    return path


def to_api_error(fault: Fault) -> ApiError:
    """Say in OpenAI's words what is wrong."""
    row = _ROWS.get(fault.kind)
    return request_errors.invalid(fault.path, "the value is not valid.") if row is None else row(fault)


def json_type(value: Any) -> str:
    """Name the JSON type of a parsed value, with its article."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a decimal number", str: "a string", list: "an array"}
    return names.get(type(value), "an object")


def _missing(fault: Fault) -> ApiError:
    if fault.path == "model":
        return request_errors.missing_model()
    return request_errors.missing_parameter(fault.path)


def _wrong_type(expected: str) -> Callable[[Fault], ApiError]:
    def row(fault: Fault) -> ApiError:
        return request_errors.invalid_type(fault.path, expected, json_type(fault.value))

    return row


def _not_a_string(fault: Fault) -> ApiError:
    if fault.path == "model" and fault.value is None:
        return request_errors.missing_model()
    return request_errors.invalid_type(fault.path, "a string", json_type(fault.value))


def _not_an_integer(fault: Fault) -> ApiError:
    """The parser makes floats of integers beyond 64 bits."""
    if isinstance(fault.value, float) and abs(fault.value) > _LARGEST_INTEGER:
        if fault.value > 0:
            return request_errors.above_maximum(fault.path, _LARGEST_INTEGER, fault.value, integer=True)
        return request_errors.below_minimum(fault.path, -_LARGEST_INTEGER - 1, fault.value, integer=True)
    return request_errors.invalid_type(fault.path, "an integer", json_type(fault.value))


def _not_a_list(fault: Fault) -> ApiError:
    elements = _ELEMENTS.get(fault.path.rpartition(".")[2])
    expected = f"an array of {elements}" if elements else "an array"
    return request_errors.invalid_type(fault.path, expected, json_type(fault.value))


def _wrong_shape(fault: Fault) -> ApiError:
    return request_errors.invalid_type(fault.path, fault.message, json_type(fault.value))


def _enumeration(fault: Fault) -> ApiError:
    if not isinstance(fault.value, str):
        return request_errors.invalid_type(fault.path, "a string", json_type(fault.value))
    return request_errors.invalid_value(fault.path, fault.value, _QUOTED.findall(str(fault.context["expected"])))


def _tag(fault: Fault) -> ApiError:
    """The field that says which kind of object this is: absent, no string, or not one of the kinds."""
    field = str(fault.context["discriminator"]).strip("'")
    path = f"{fault.path}.{field}"
    value = fault.value.get(field) if isinstance(fault.value, dict) else None
    if value is None:
        return request_errors.missing_parameter(path)
    if not isinstance(value, str):
        return request_errors.invalid_type(path, "a string", json_type(value))
    return request_errors.invalid_value(path, value, _QUOTED.findall(str(fault.context["expected_tags"])))


def _below(fault: Fault) -> ApiError:
    minimum = fault.context["ge"]
    return request_errors.below_minimum(fault.path, minimum, fault.value, integer=isinstance(minimum, int))


def _above(fault: Fault) -> ApiError:
    maximum = fault.context["le"]
    return request_errors.above_maximum(fault.path, maximum, fault.value, integer=isinstance(maximum, int))


def _too_long(fault: Fault) -> ApiError:
    maximum, length = fault.context["max_length"], len(fault.value)
    if isinstance(fault.value, dict):
        return request_errors.object_above_max_properties(fault.path, maximum, length)
    return request_errors.array_above_max_length(fault.path, maximum, length)


def _empty_string(fault: Fault) -> ApiError:
    return request_errors.missing_model() if fault.path == "model" else request_errors.empty_string(fault.path)


def _long_string(fault: Fault) -> ApiError:
    return request_errors.string_above_max_length(fault.path, fault.context["max_length"], len(fault.value))


def _pattern(fault: Fault) -> ApiError:
    if fault.path.startswith("logit_bias"):
        return request_errors.bias_key(fault.value)
    return request_errors.pattern_mismatch(fault.path, fault.context["pattern"])


def _token(fault: Fault) -> ApiError:
    index = fault.context["index"]
    path, token = f"{fault.path}[{index}]", fault.value[index]
    if type(token) is not int:
        return request_errors.invalid_type(path, "an integer", json_type(token))
    if token < 0:
        return request_errors.below_minimum(path, 0, token, integer=True)
    return request_errors.above_maximum(path, LARGEST_TOKEN_ID, token, integer=True)


def _unserved(fault: Fault) -> ApiError:
    return request_errors.unsupported_value(f"{fault.path}.{fault.context['field']}", str(fault.context["value"]))


_ROWS: Mapping[str, Callable[[Fault], ApiError]] = {
    "missing": _missing,
    "extra_forbidden": lambda fault: request_errors.unknown_parameter(fault.path),
    "string_type": _not_a_string,
    "bool_type": _wrong_type("a boolean"),
    "int_type": _not_an_integer,
    "int_from_float": _not_an_integer,
    "int_parsing": _not_an_integer,
    "int_parsing_size": _not_an_integer,
    "bool_parsing": _wrong_type("a boolean"),
    "float_type": _wrong_type("a decimal"),
    "list_type": _not_a_list,
    "dict_type": _wrong_type("an object"),
    "model_type": _wrong_type("an object"),
    "model_attributes_type": _wrong_type("an object"),
    "none_required": _wrong_type("null"),
    WRONG_SHAPE: _wrong_shape,
    "literal_error": _enumeration,
    "union_tag_not_found": _tag,
    "union_tag_invalid": _tag,
    "greater_than_equal": _below,
    "less_than_equal": _above,
    "too_short": lambda fault: request_errors.empty_array(fault.path),
    "too_long": _too_long,
    "string_too_short": _empty_string,
    "string_too_long": _long_string,
    "string_pattern_mismatch": _pattern,
    UNSUPPORTED_VALUE: _unserved,
    WRONG_ID: _token,
    TOO_DEEP: lambda fault: request_errors.invalid(fault.path, f"it is nested deeper than {MAX_DEPTH}."),
}
