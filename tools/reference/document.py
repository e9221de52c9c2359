"""An OpenAPI document, read for one question: which properties can stand where."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]

JSON = "application/json"
EVENTS = "text/event-stream"
METHODS = frozenset({"get", "post", "put", "patch", "delete"})
DEEPEST = 12
"""Steps into a schema; beyond it there is only recursion."""


@dataclass(frozen=True)
class Document:
    """A whole document."""

    root: Json

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read JSON, gzipped or not. Raises `OSError` and `ValueError`."""
        raw = path.read_bytes()
        return cls(json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw))

    def operations(self) -> dict[tuple[str, str], Json]:
        """Answer every operation by method and path; `/v1` is left out, wherever the document puts it."""
        return {
            (method, path.removeprefix("/v1")): operation
            for path, methods in self.root["paths"].items()
            for method, operation in methods.items()
            if method in METHODS
        }

    def parameters(self, operation: Json) -> frozenset[str]:
        """Answer the names that a request can set: in the path, in the query, at the top of its body.

        `name`, `name[]` and `name[key]` are one parameter, spelt as the document's author liked.
        """
        named = {self._resolved(one)["name"].partition("[")[0] for one in operation.get("parameters", ())}
        body = operation.get("requestBody", {}).get("content", {})
        for content in body.values():
            named |= {path for path in self.properties(content.get("schema", {})) if "." not in path}
        return frozenset(named)

    def answer(self, operation: Json, media_type: str) -> frozenset[str]:
        """Answer the paths of all properties of a good answer: `choices.message.content`."""
        for status, response in operation.get("responses", {}).items():
            if status.startswith("2"):
                content = self._resolved(response).get("content", {})
                return self.properties(content.get(media_type, {}).get("schema", {}))
        return frozenset()

    def properties(self, schema: Json) -> frozenset[str]:
        """Answer the paths of all properties in a schema, whichever of its branches has them."""
        return frozenset(self._paths(schema, (), ()))

    def _paths(self, schema: Json, prefix: tuple[str, ...], seen: tuple[str, ...]) -> Iterator[str]:
        reference = schema.get("$ref")
        if reference is not None:
            if reference in seen:
                return
            seen = (*seen, reference)
            schema = self._resolved(schema)
        if len(prefix) > DEEPEST:
            return
        for branch in ("allOf", "anyOf", "oneOf"):
            for child in schema.get(branch, ()):
                yield from self._paths(child, prefix, seen)
        if isinstance(schema.get("items"), Mapping):
            yield from self._paths(schema["items"], prefix, seen)
        for name, child in schema.get("properties", {}).items():
            path = (*prefix, name)
            yield ".".join(path)
            yield from self._paths(child, path, seen)

    def _resolved(self, node: Json) -> Json:
        while "$ref" in node:
            found: Any = self.root
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            node = found
        return node


def find(start: Path) -> Path | None:
    """Find OpenAI's document in the folders beside `start` and above it; None when nobody has put it there."""
    places = (parent / "shared" / "openapi" / "openapi.json.gz" for parent in (start, *start.parents))
    return next((place for place in places if place.is_file()), None)
