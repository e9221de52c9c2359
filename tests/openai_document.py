"""OpenAI's own API document, where a copy of it lies beside the repository: the judge of our answers."""

from __future__ import annotations

import copy
import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest


@cache
def _document() -> dict[str, Any]:
    found = next((path for path in _places() if path.is_file()), None)
    if found is None:
        pytest.skip("OpenAI's API document is not there")
    with gzip.open(found) as file:
        document: dict[str, Any] = json.load(file)
    return document


@cache
def schemas() -> dict[str, Any]:
    """Read the document's schemas, mended where it contradicts itself or the live service."""
    mended: dict[str, Any] = _mend(_document()["components"]["schemas"])
    return mended


@cache
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Answer every operation by its method and its path, from `/v1` on."""
    return {
        (method, f"/v1{path.removeprefix('/v1')}"): operation
        for path, methods in _document()["paths"].items()
        for method, operation in methods.items()
        if "operationId" in operation
    }


def _places() -> list[Path]:
    return [parent / "shared" / "openapi" / "openapi.json.gz" for parent in Path(__file__).resolve().parents]


def _mend(node: Any) -> Any:
    """Make branches that overlap alternatives, and say `null` in today's words."""
    if isinstance(node, list):
        return [_mend(child) for child in node]
    if not isinstance(node, dict):
        return node
    mended = {name: _mend(child) for name, child in node.items() if name not in ("discriminator", "oneOf")}
    if "oneOf" in node:
        mended["anyOf"] = _mend(node["oneOf"])
    if node.get("nullable") is True:
        return {"anyOf": [mended, {"type": "null"}]}
    if isinstance(node.get("properties"), dict):
        # An optional field may come as null from the live service.
        required = node.get("required") or []
        mended["properties"] = {
            name: child if name in required else {"anyOf": [child, {"type": "null"}]}
            for name, child in mended["properties"].items()
        }
    return mended


@cache
def _validator(name: str) -> Any:
    root = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas()}}
    return jsonschema.Draft202012Validator(root)


def check(name: str, value: object) -> None:
    """Fail unless `value` is what the document calls `name`."""
    errors = sorted(_validator(name).iter_errors(copy.deepcopy(value)), key=lambda error: list(error.path))
    assert not errors, "\n".join(f"{list(error.path)}: {error.message[:300]}" for error in errors[:5])


def named(method: str, path: str) -> str | None:
    """Find the operation that a request is; None when the document has none."""
    for (its_method, template), operation in operations().items():
        if its_method == method.lower() and re.fullmatch(re.sub(r"{[^}]+}", "[^/]+", template), path):
            return str(operation["operationId"])
    return None


def check_answer(operation_id: str, value: object) -> None:
    """Fail unless `value` is a good answer of the operation."""
    operation = next(each for each in operations().values() if each["operationId"] == operation_id)
    content = operation["responses"]["200"]["content"]["application/json"]["schema"]
    root = {**_mend(content), "components": {"schemas": schemas()}}
    errors = list(jsonschema.Draft202012Validator(root).iter_errors(copy.deepcopy(value)))
    assert not errors, "\n".join(f"{operation_id} {list(error.path)}: {error.message[:300]}" for error in errors[:5])
