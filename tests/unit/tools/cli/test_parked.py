"""What cannot be recorded may hold anything, and is shown without doing anything to a terminal."""

from __future__ import annotations

from typing import Any

from tools.cli.parked import row

LETTER: dict[str, Any] = {
    "id": "3f9a0c11d2e4b566",
    "parked_time": "2026-11-30T12:00:00+00:00",
    "reason": "endpoint 0 is unset or unknown",
    "organization_id": "org-1",
    "request_id": "req_1",
    "model": "capstan-demo",
    "prompt_tokens": 100,
    "completion_tokens": 20,
}


def test_a_letter_is_a_row_of_what_a_person_needs() -> None:
    shown = row(LETTER)
    assert (shown[0], *shown[2:]) == (
        "3f9a0c11d2e4b566",
        "org-1",
        "capstan-demo",
        "100 + 20",
        "endpoint 0 is unset or unknown",
    )


def test_what_moves_a_cursor_is_spelt_out() -> None:
    assert row(LETTER | {"model": "\x1b[2J\ndemo", "organization_id": "org\u202e-é"})[2:4] == (
        "org\\u202e-é",
        "\\x1b[2J\\ndemo",
    )


def test_what_is_not_there_is_a_dash_and_what_cannot_be_read_is_said() -> None:
    shown = row(LETTER | {"model": "", "prompt_tokens": None, "completion_tokens": None})
    assert shown[3:5] == ("-", "unreadable")
