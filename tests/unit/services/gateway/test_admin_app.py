"""The admin application's edges: queries, what is not served, what it says of itself."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.admin.app import MOST_FIELDS, openapi, plain_query
from services.gateway.admin.unserved import UNSERVED, why_unserved
from services.gateway.api_error import ApiError


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"", []),
        (b"limit=5", [("limit", "5")]),
        (b"emails[]=a%40b.c&emails[]=d", [("emails", "a@b.c"), ("emails", "d")]),
        (b"emails%5B%5D=a", [("emails", "a")]),
        (b"emails=a&emails=b", [("emails", "a"), ("emails", "b")]),
        (b"effective_at[gt]=1&after=", [("effective_at[gt]", "1"), ("after", "")]),
    ],
)
def test_arrays_are_read_however_they_are_spelt(sent: bytes, read: list[tuple[str, str]]) -> None:
    assert parse_qsl(plain_query(sent).decode(), keep_blank_values=True) == read


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FIELD = st.tuples(TEXT.filter(lambda name: not name.endswith("[]")), TEXT)


@given(st.lists(FIELD, max_size=20))
def test_what_is_no_array_stays_as_it_is(fields: list[tuple[str, str]]) -> None:
    query = urlencode(fields)
    assert parse_qsl(plain_query(query.encode()).decode(), keep_blank_values=True) == parse_qsl(
        query, keep_blank_values=True
    )


def test_a_query_of_too_many_parameters_is_refused() -> None:
    with pytest.raises(ApiError, match="400"):
        plain_query(b"a=1&" * (MOST_FIELDS + 1))


@pytest.mark.parametrize("what", UNSERVED)
def test_what_is_not_served_is_told_apart_from_a_misspelt_url(what: str) -> None:
    for path in (f"/v1/organization/{what}", f"/v1/organization/{what}/x", f"/v1/organization/projects/p/{what}"):
        assert why_unserved(path) == UNSERVED[what]
    assert why_unserved(f"/v1/organization/{what}s") == ""


OPERATIONS = [operation for methods in openapi("")["paths"].values() for operation in methods.values()]


def test_what_is_not_served_is_not_served() -> None:
    served = openapi("")["paths"]
    assert not [path for path in served if why_unserved(path)]


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [operation["operationId"] for operation in OPERATIONS]
    assert len(names) == len(set(names))
    assert all(operation["summary"] and operation["tags"] for operation in OPERATIONS)


def test_every_parameter_of_a_path_is_described() -> None:
    for path, methods in openapi("")["paths"].items():
        for operation in methods.values():
            described = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
            assert described == set(re.findall(r"{(\w+)}", path)), (path, operation["operationId"])


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_references, node))
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return own.union(*map(_references, node.values()))


def test_the_document_refers_to_nothing_that_is_not_in_it() -> None:
    document = openapi("")
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert _references(document) <= known
