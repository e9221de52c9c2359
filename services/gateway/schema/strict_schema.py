"""What OpenAI demands of a JSON Schema under `strict: true`: every object closed, every property required.

Pure. The texts are those of the live service, whose context is a path into the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.gateway.schema.references import broken_reference

Context = tuple[str, ...]

_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains")
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions", "patternProperties")


def problem_of(schema: dict[str, Any], *, strict: bool | None) -> str | None:
    """Answer what is wrong with a schema that a model's text shall follow, or None."""
    return broken_reference(schema) or (violation(schema) if strict else None)


def violation(schema: dict[str, Any]) -> str | None:
    """Answer what the first violation is, or None. The depth of `schema` is bounded by whoever parsed it."""
    if not _is_object(schema):
        kind = schema.get("type")
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    waiting: list[tuple[Context, dict[str, Any]]] = [((), schema)]
    while waiting:
        context, node = waiting.pop()
        problem = _problem(node)
        if problem is not None:
            return f"In context={context}, {problem}"
        waiting.extend(reversed(list(_children(context, node))))
    return None


def _is_object(node: dict[str, Any]) -> bool:
    kind = node.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _problem(node: dict[str, Any]) -> str | None:
    properties = node.get("properties")
    if not _is_object(node) and properties is None:
        return None
    if node.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    if properties is None:
        return None
    if not isinstance(properties, dict):
        return "'properties' must be an object."
    required = node.get("required")
    named = set(map(str, required)) if isinstance(required, list) else set()
    for name in properties:
        if name not in named:
            return (
                "'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{name}'."
            )
    for name in named:
        if name not in properties:
            return f"'required' names '{name}', which is not in properties."
    return None


def _children(context: Context, node: dict[str, Any]) -> Iterator[tuple[Context, dict[str, Any]]]:
    for key in _ONE:
        child = node.get(key)
        if isinstance(child, dict):
            yield (*context, key), child
    for key in _MANY:
        children = node.get(key)
        if isinstance(children, list):
            for index, child in enumerate(children):
                if isinstance(child, dict):
                    yield (*context, key, str(index)), child
    for key in _NAMED:
        named = node.get(key)
        if isinstance(named, dict):
            for name, child in named.items():
                if isinstance(child, dict):
                    yield (*context, key, name), child
