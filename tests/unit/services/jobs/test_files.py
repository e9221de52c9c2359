"""Which files may be recorded, and for whom."""

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import CapstanError, Reason
from services.jobs import files
from services.jobs.files import File, Purpose, Tenant

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FILE = File("file-0a1B", "train.jsonl", Purpose.FINE_TUNE, 12, NOON, None)


def refused(param: str) -> "pytest.RaisesExc[CapstanError]":
    return pytest.raises(
        CapstanError,
        check=lambda error: error.reason is Reason.INVALID_ARGUMENT and error.metadata == {"param": param},
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"filename": "a"},
        {"filename": "n" * 255},
        {"filename": "résumé – 2026 (v2).PDF"},
        {"filename": "家族👨‍👩‍👧.png"},
        {"filename": ".hidden"},
        {"filename": "..."},
        {"size_bytes": 0},
        {"size_bytes": 536_870_912},
        {"expire_time": NOON + timedelta(microseconds=1)},
        {"file_id": "file-" + "x" * 128},
    ],
)
def test_an_ordinary_file_may_be_recorded(changes: dict[str, object]) -> None:
    files.check_new(replace(FILE, **changes))


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"filename": ""}, "filename"),
        ({"filename": "n" * 256}, "filename"),
        ({"filename": "../../etc/passwd"}, "filename"),
        ({"filename": "a/b"}, "filename"),
        ({"filename": "C:\\autoexec.bat"}, "filename"),
        ({"filename": "."}, "filename"),
        ({"filename": ".."}, "filename"),
        ({"filename": "nul\0nul"}, "filename"),
        ({"filename": "two\nlines"}, "filename"),
        ({"filename": "bell\x07"}, "filename"),
        ({"filename": "del\x7f"}, "filename"),
        ({"filename": "c1\x85"}, "filename"),
        ({"filename": "line\u2028separator"}, "filename"),
        ({"filename": "half\ud800"}, "filename"),
        ({"size_bytes": -1}, "size_bytes"),
        ({"size_bytes": 536_870_913}, "size_bytes"),
        ({"expire_time": NOON}, "expire_time"),
        ({"expire_time": NOON - timedelta(days=1)}, "expire_time"),
        ({"file_id": ""}, "file_id"),
        ({"file_id": "file-"}, "file_id"),
        ({"file_id": "0a1B"}, "file_id"),
        ({"file_id": "file-a/b"}, "file_id"),
        ({"file_id": "file-a\n"}, "file_id"),
        ({"file_id": "file-\0"}, "file_id"),
        ({"file_id": "file-" + "x" * 129}, "file_id"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_the_name_of_what_is_wrong(changes: dict[str, object], param: str) -> None:
    with refused(param):
        files.check_new(replace(FILE, **changes))


@given(st.text(min_size=1, max_size=255))
def test_a_name_that_is_accepted_is_one_line_and_no_path(name: str) -> None:
    if not files.fault_of_name(name):
        assert name.splitlines() == [name]
        assert not set(name) & {"/", "\\"}
        assert all(unicodedata.category(character) != "Cc" for character in name)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"], exclude_characters="/\\."), min_size=1, max_size=255))
def test_letters_digits_and_punctuation_make_a_name(name: str) -> None:
    assert files.fault_of_name(name) == ""


@pytest.mark.parametrize("value", ["", "org\0", "o" * 257])
@pytest.mark.parametrize("field", ["organization_id", "project_id"])
def test_a_tenant_has_both_ids(field: str, value: str) -> None:
    files.check_tenant(Tenant("org-1", "proj_1"))
    with refused(f"tenant.{field}"):
        files.check_tenant(replace(Tenant("org-1", "proj_1"), **{field: value}))


@pytest.mark.parametrize(("limit", "size"), [(0, 10_000), (1, 1), (10_000, 10_000)])
def test_an_unset_limit_means_the_most(limit: int, size: int) -> None:
    assert files.page_size(limit) == size


@pytest.mark.parametrize("limit", [-1, 10_001])
def test_a_limit_out_of_range_is_refused(limit: int) -> None:
    with refused("limit"):
        files.page_size(limit)


def test_a_registration_that_came_again_is_the_same_whenever_it_came() -> None:
    assert files.is_same(FILE, replace(FILE, create_time=NOON + timedelta(hours=1)))


@pytest.mark.parametrize(
    "changes",
    [
        {"filename": "other"},
        {"purpose": Purpose.BATCH},
        {"size_bytes": 13},
        {"expire_time": NOON + timedelta(hours=1)},
    ],
)
def test_a_registration_that_differs_is_another_file(changes: dict[str, object]) -> None:
    assert not files.is_same(FILE, replace(FILE, **changes))
