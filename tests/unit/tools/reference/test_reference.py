"""Counting what of OpenAI's document is there."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.gateway.docs import openapi
from tools.reference.document import JSON, Document, find
from tools.reference.page import BEGIN, END, placed, render
from tools.reference.score import Share, compare

ROOT = Path(__file__).resolve().parents[4]


def document(request: dict[str, Any], answer: dict[str, Any], path: str = "/v1/things", **schemas: Any) -> Document:
    return Document(
        {
            "info": {"version": "9"},
            "paths": {
                path: {
                    "post": {
                        "requestBody": {"content": {JSON: {"schema": request}}},
                        "responses": {"200": {"content": {JSON: {"schema": answer}}}},
                    }
                }
            },
            "components": {"schemas": schemas},
        }
    )


def things(*names: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}}


def test_properties_are_found_in_every_branch_and_once_in_a_circle() -> None:
    node = {"allOf": [things("a"), {"properties": {"child": {"$ref": "#/components/schemas/Node"}}}]}
    made = document(
        {"$ref": "#/components/schemas/Node"},
        {"type": "array", "items": {"anyOf": [things("x"), {"oneOf": [things("y")]}]}},
        Node=node,
    )
    operation = made.operations()["post", "/things"]
    assert made.parameters(operation) == {"a", "child"}
    assert made.properties({"$ref": "#/components/schemas/Node"}) == {"a", "child"}
    assert made.answer(operation, JSON) == {"x", "y"}


def test_what_is_there_is_counted_and_what_is_missing_is_named() -> None:
    nested = {"properties": {"usage": things("in", "out"), "id": {}}}
    official = document(things("a", "b"), nested, path="/things")
    ours = document(things("a", "own"), {"properties": {"id": {}}})
    (score,) = compare(official, ours).scores
    assert (score.parameters.present, len(score.parameters.official)) == (1, 2)
    assert (score.parameters.missing, score.parameters.added) == (["b"], ["own"])
    assert (score.answer.present, len(score.answer.official), score.answer.missing) == (1, 4, ["usage"])
    text = render(compare(official, ours))
    assert "| `POST /v1/things` | 1/2 | 1/4 | – |" in text
    assert "no parameters `b`; own parameters `own`; no answer `usage`" in text


def test_an_operation_that_openai_does_not_have_is_not_scored() -> None:
    comparison = compare(document({}, {}, path="/others"), document({}, {}))
    assert (comparison.scores, comparison.own) == ((), (("post", "/things"),))


def test_what_only_we_have_is_named() -> None:
    assert "`POST /v1/things`" in render(compare(document({}, {}, path="/others"), document({}, {}))).splitlines()[-1]


def test_arrays_and_maps_in_a_query_are_one_parameter_however_they_are_spelt() -> None:
    made = document({}, {})
    operation = {"parameters": [{"name": "ids[]"}, {"name": "at[gt]"}, {"name": "at[lt]"}, {"name": "limit"}]}
    assert made.parameters(operation) == {"ids", "at", "limit"}


def test_a_share_of_nothing_is_nothing() -> None:
    assert Share(frozenset(), frozenset()).present == 0


def test_text_is_put_between_the_marks_and_again() -> None:
    once = placed(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new\n")
    assert once == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert placed(once, "new\n") == once
    with pytest.raises(ValueError, match="no place"):
        placed("nothing", "new")


def test_every_operation_of_ours_is_openais() -> None:
    official = find(ROOT)
    if official is None:
        pytest.skip("OpenAI's API document is not there")
    assert compare(Document.read(official), Document(openapi(""))).own == ()


def test_the_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.reference", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
