"""The words of OpenAI's older validator, which still judges embeddings: no code, no param, the name in the text.

Recorded: `-1 is less than the minimum of 1 - 'dimensions'`. The sentences are those of Python's jsonschema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from services.gateway.api_error import ApiError
from services.gateway.request_errors import LONGEST_ECHO
from services.gateway.schema.translate import Fault, to_api_error

_TYPES: Mapping[str, str] = {
    "string_type": "string",
    "int_type": "integer",
    "int_from_float": "integer",
    "bool_type": "boolean",
}


def older_error(fault: Fault) -> ApiError:
    """Say what is wrong in the older words; what they have no sentence for, in the newer."""
    sentence = _SENTENCES.get(fault.kind)
    newer = to_api_error(fault)
    if sentence is None or newer.param is None:
        return newer
    return ApiError(400, sentence(fault))


def _shown(fault: Fault) -> str:
    value = fault.value
    text = f"'{value}'" if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…"


def _type(fault: Fault) -> str:
    return f"{_shown(fault)} is not of type '{_TYPES[fault.kind]}' - '{fault.path}'"


_SENTENCES: Mapping[str, Callable[[Fault], str]] = {
    "missing": lambda fault: f"'{fault.path}' is a required property",
    "extra_forbidden": lambda fault: f"Additional properties are not allowed ('{fault.path}' was unexpected)",
    "greater_than_equal": lambda fault: (
        f"{_shown(fault)} is less than the minimum of {fault.context['ge']} - '{fault.path}'"
    ),
    "less_than_equal": lambda fault: (
        f"{_shown(fault)} is greater than the maximum of {fault.context['le']} - '{fault.path}'"
    ),
    "literal_error": lambda fault: f"{_shown(fault)} is not one of ['float', 'base64'] - '{fault.path}'",
    "too_short": lambda fault: f"[] is too short - '{fault.path}'",
    "string_too_short": lambda fault: f"'' is too short - '{fault.path}'",
    "too_long": lambda fault: (
        f"an array with {len(fault.value)} elements is too long, the maximum is {fault.context['max_length']} "
        f"- '{fault.path}'"
    ),
    **dict.fromkeys(_TYPES, _type),
}
