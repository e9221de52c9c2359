"""Tables for people, spans of time, and what is typed for a limit."""

from __future__ import annotations

import pytest

from tools.cli.office import Office
from tools.cli.spans import seconds
from tools.cli.tables import listed, table, when
from tools.local.problem import Problem


def test_columns_are_as_wide_as_what_they_hold_and_lines_end_where_they_end() -> None:
    assert table(("ID", "NAME"), [("a", "long name"), ("bbb", "")]) == ["ID   NAME", "a    long name", "bbb"]


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), (" 2w ", 1_209_600)]
)
def test_a_span_is_a_number_and_a_unit(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "1 h", "1d2h", "9999999s", "٣d"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(Problem, match="no span of time"):
        seconds(text)


def test_what_there_is_not_is_said() -> None:
    assert (listed([], "all"), listed(["a", "b"], "all")) == ("all", "a, b")
    assert (when(None), when(86_400)) != ("never", "never")


@pytest.mark.parametrize("url", ["here", "ftp://host/v1", "http:///v1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Problem, match="is no address"):
        Office(url, "sk-admin-x")
