"""From the bytes of a body to a validated request, in one pass.

JSON is read strictly: UTF-8, no NaN or Infinity, no lone surrogates, no second document, no U+0000 in strings
(PostgreSQL could not store it), bounded depth. Of a key that comes twice the last counts, as in JavaScript and most
parsers (RFC 8259 leaves it open); nobody behind the gateway sees the original bytes, so nobody can read them otherwise.
"""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from pydantic_core import ValidationError

from services.gateway import request_errors
from services.gateway.schema import translate
from services.gateway.schema.base import RequestModel
from services.gateway.schema.embeddings import EmbeddingRequest
from services.gateway.schema.older_words import older_error

M = TypeVar("M", bound=RequestModel)

LARGE_BYTES = 65_536
MAX_VALUES = 30_000
"""Objects, their members, and arrays in a large body. Text is cheap however long; millions of small values are not, and
would stall everybody else for seconds."""

MAX_FAULTS = 100
"""Faults that are looked at one by one. Describing many would take as long."""


def parse(model_type: type[M], body: bytes, content_type: bytes | None) -> M:
    """Make a request of a whole body. Raises `ApiError` for the first thing that is wrong with it."""
    document = read_object(body, content_type)
    fields = model_type.__pydantic_fields__
    if len(document) > len(fields):
        raise request_errors.unknown_parameter(next(name for name in document if name not in fields))
    try:
        request: M = model_type.__pydantic_validator__.validate_python(document)
    except ValidationError as error:
        if error.error_count() > MAX_FAULTS:
            raise request_errors.too_many_faults(error.error_count()) from None
        fault = translate.first_fault(document, error.errors(include_url=False, include_input=True))
        raise (older_error if model_type is EmbeddingRequest else translate.to_api_error)(fault) from None
    return request


def read_object(body: bytes, content_type: bytes | None) -> dict[str, Any]:
    """Make a JSON object of a whole body. Raises `ApiError` when it is none, or one that no correct client sends."""
    check_content_type(content_type)
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise request_errors.not_json(_hint(body, error)) from None
    if not isinstance(document, dict):
        raise request_errors.not_json("The body must be a JSON object.")
    if b"\\u0000" in body and b"\\u0000" in body.replace(rb"\\", b""):
        raise request_errors.not_json("The character U+0000 is not allowed in strings.")
    if len(body) > LARGE_BYTES and _is_bulky(document):
        raise request_errors.not_json(f"The body holds more than {MAX_VALUES} values.")
    return document


def check_content_type(content_type: bytes | None) -> None:
    """Raise `ApiError` unless the header says JSON in UTF-8, with or without parameters."""
    if content_type == b"application/json":
        return
    text = (content_type or b"").decode("latin-1")
    media_type, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8"):
            raise request_errors.unsupported_content_type(text)
    if media_type != "application/json":
        raise request_errors.unsupported_content_type(text)


def _is_bulky(document: dict[str, Any]) -> bool:
    """Count values, level by level, until there are too many. An array is one value unless it holds containers."""
    count = 0
    level: list[Any] = [document]
    while level:
        below: list[Any] = []
        for node in level:
            if type(node) is dict:
                count += len(node)
                below.extend(child for child in node.values() if type(child) is dict or type(child) is list)
            elif node and type(node[0]) in (dict, list):
                count += len(node)
                below.extend(node)
            if count > MAX_VALUES:
                return True
        level = [node for node in below if type(node) is dict or type(node) is list]
    return False


def _hint(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "The body is empty."
    return (
        "This likely means you aren't using your HTTP library correctly. The body must be a valid JSON object in "
        f"UTF-8; reading stopped at byte {error.pos}."
    )
