"""Which references a JSON Schema may hold: into itself, to something that is there, and with an end.

A schema comes from outside, so nothing it names elsewhere is ever fetched. A schema that contains itself below a
property or an element describes trees and is fine; one that only refers in a circle describes nothing, and compilers of
grammars do not survive it. Pure; work and memory grow with the schema's size, which is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

MAX_NODES = 20_000
"""Objects and arrays in one schema."""
MAX_REFERENCES = 2_000
LONGEST_REFERENCE = 1_024

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DATA = frozenset({"enum", "const", "default", "examples"})
"""Keys whose values are no schemas."""
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keys whose objects hold schemas under names of the author's."""
_SAME_PLACE = ("anyOf", "oneOf", "allOf", "not", "if", "then", "else")
"""Keys whose schemas apply to the value itself and not to a part of it."""

Context = tuple[str, ...]


def broken_reference(schema: dict[str, Any]) -> str | None:
    """Answer what is wrong with the first reference that is wrong, or None. The depth of `schema` is bounded."""
    found: list[tuple[Context, dict[str, Any], str]] = []
    for count, (context, node) in enumerate(_schemas(schema)):
        if count >= MAX_NODES:
            return f"the schema has more than {MAX_NODES} parts."
        found.extend((context, node, node[key]) for key in _REFERENCES if isinstance(node.get(key), str))
        if len(found) > MAX_REFERENCES:
            return f"the schema has more than {MAX_REFERENCES} references."
    targets: dict[str, Any] = {}
    leads: dict[int, list[Any]] = {}
    for context, node, reference in found:
        shown = reference if len(reference) <= 100 else reference[:100] + "…"
        if reference[:1] != "#":
            return f"In context={context}, '$ref' to '{shown}' leaves the schema: only '#' and '#/…' are followed."
        if reference not in targets:
            targets[reference] = _target(schema, reference)
        if targets[reference] is None:
            return f"In context={context}, '$ref' to '{shown}' cannot be resolved."
        leads.setdefault(id(node), []).append(targets[reference])
    done: set[int] = set()
    for context, node, _ in found:
        if _circles(node, leads, done):
            return f"In context={context}, '$ref' leads into a circle without a property or an element in it."
    return None


def _schemas(root: dict[str, Any]) -> Iterator[tuple[Context, dict[str, Any]]]:
    """Every object that can be a schema, with where it stands, in the order of the text."""
    waiting: list[tuple[Context, Any, bool]] = [((), root, False)]
    while waiting:
        context, node, named = waiting.pop()
        if isinstance(node, list):
            waiting.extend(
                ((*context, str(i)), node[i], False) for i in range(len(node) - 1, -1, -1) if _inner(node[i])
            )
            continue
        # Under a name of the author's every key is a name, also one that is spelled like a keyword.
        yield context, {} if named else node
        children = [
            ((*context, key), child, not named and key in _NAMED)
            for key, child in node.items()
            if _inner(child) and (named or key not in _DATA)
        ]
        waiting.extend(reversed(children))


def _inner(value: Any) -> bool:
    return isinstance(value, dict | list)


def _target(schema: dict[str, Any], reference: str) -> dict[str, Any] | bool | None:
    """What a JSON pointer (RFC 6901) in a fragment points to, if that can be a schema."""
    if reference == "#":
        return schema
    if not reference.startswith("#/") or len(reference) > LONGEST_REFERENCE:
        return None
    place: Any = schema
    named = False
    for written in unquote(reference[2:]).split("/"):
        step = written.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict) and (named or step not in _DATA):
            place, named = place.get(step), not named and step in _NAMED
        elif isinstance(place, list) and step.isdecimal() and len(step) < 7 and int(step) < len(place):
            place, named = place[int(step)], False
        else:
            return None
    return place if isinstance(place, dict | bool) else None


def _circles(start: dict[str, Any], leads: dict[int, list[Any]], done: set[int]) -> bool:
    """Whether what applies to the same value as `start` does, and what follows from that, ever comes back to itself.

    A depth-first walk; `done` holds what is known to end, so that all walks together visit each schema once.
    """
    path: set[int] = set()
    stack: list[tuple[dict[str, Any], bool]] = [(start, False)]
    while stack:
        node, left = stack.pop()
        if left:
            path.discard(id(node))
            done.add(id(node))
        elif id(node) in path:
            return True
        elif id(node) not in done:
            path.add(id(node))
            stack.append((node, True))
            stack.extend((child, False) for child in _same_place(node, leads) if isinstance(child, dict))
    return False


def _same_place(node: dict[str, Any], leads: dict[int, list[Any]]) -> Iterator[Any]:
    yield from leads.get(id(node), ())
    for key in _SAME_PLACE:
        child = node.get(key)
        yield from child if isinstance(child, list) else (child,)
