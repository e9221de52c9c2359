"""What a file is here, whose it is, and which ones are refused. Pure."""

from __future__ import annotations

import enum
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import CapstanError, Reason

LONGEST_NAME = 255
"""Characters, as in most file systems."""

MOST_BYTES = 512 * 2**20
"""OpenAI's limit for one file."""

LONGEST_PAGE = 10_000
"""Files in one answer of a list."""

_LONGEST_TENANT_ID = 256
_ID = re.compile(r"file-[A-Za-z0-9_-]{1,128}")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's controls (NUL among them), surrogates, line and paragraph separators."""


class Purpose(enum.Enum):
    """What a file is for, in OpenAI's words."""

    ASSISTANTS = "assistants"
    BATCH = "batch"
    FINE_TUNE = "fine-tune"
    VISION = "vision"
    USER_DATA = "user_data"
    EVALS = "evals"


class Order(enum.Enum):
    """Of a list, by creation."""

    OLDEST_FIRST = "asc"
    NEWEST_FIRST = "desc"


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose a file is."""

    organization_id: str
    project_id: str


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was recorded. Times are aware and precise to the microsecond."""

    file_id: str
    filename: str
    purpose: Purpose
    size_bytes: int
    create_time: datetime
    expire_time: datetime | None
    """None: it never disappears."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list."""

    files: list[File]
    has_more: bool


def check_tenant(tenant: Tenant) -> None:
    """Raise `CapstanError` (INVALID_ARGUMENT) unless both ids are given and fit for the database."""
    for param, value in (
        ("tenant.organization_id", tenant.organization_id),
        ("tenant.project_id", tenant.project_id),
    ):
        if not value or len(value) > _LONGEST_TENANT_ID or "\0" in value:
            raise _invalid(param, "must name a tenant")


def check_new(file: File) -> None:
    """Raise `CapstanError` (INVALID_ARGUMENT, `param`) when `file` may not be recorded at its `create_time`."""
    if not could_exist(file.file_id):
        raise _invalid("file_id", 'must be "file-" and 1 to 128 letters, digits, "-" or "_"')
    if fault := fault_of_name(file.filename):
        raise _invalid("filename", fault)
    if not 0 <= file.size_bytes <= MOST_BYTES:
        raise _invalid("size_bytes", f"must be 0 to {MOST_BYTES}")
    if file.expire_time is not None and file.expire_time <= file.create_time:
        raise _invalid("expire_time", "must be in the future")


def could_exist(file_id: str) -> bool:
    """Tell whether `file_id` has the form that every recorded file's id has."""
    return _ID.fullmatch(file_id) is not None


def fault_of_name(filename: str) -> str:
    """Say what is wrong with a file's name; nothing when it is fine."""
    if not 1 <= len(filename) <= LONGEST_NAME:
        return f"must have 1 to {LONGEST_NAME} characters"
    if "/" in filename or "\\" in filename or filename in {".", ".."}:
        return "must not be a path"
    if any(unicodedata.category(character) in _UNPRINTABLE for character in filename):
        return "must not contain control characters"
    return ""


def page_size(limit: int) -> int:
    """Read how many files a list may hold; 0 means the most. Raises `CapstanError` (INVALID_ARGUMENT)."""
    if not 0 <= limit <= LONGEST_PAGE:
        raise _invalid("limit", f"must be 1 to {LONGEST_PAGE}, or 0 for that many")
    return limit or LONGEST_PAGE


def is_same(recorded: File, wanted: File) -> bool:
    """Tell whether a registration that came again means the file that is recorded, whenever either was made."""
    return (recorded.filename, recorded.purpose, recorded.size_bytes, recorded.expire_time) == (
        wanted.filename,
        wanted.purpose,
        wanted.size_bytes,
        wanted.expire_time,
    )


def not_found(file_id: str) -> CapstanError:
    """Build the one answer for a file that is not there, has expired, or is another tenant's."""
    return CapstanError(Reason.OBJECT_NOT_FOUND, "no such file", object="file", id=file_id)


def conflict(file_id: str) -> CapstanError:
    """Build the answer for an id that the tenant has given to another file."""
    return CapstanError(Reason.OBJECT_CONFLICT, "the id names another file", object="file", id=file_id)


def _invalid(param: str, fault: str) -> CapstanError:
    return CapstanError(Reason.INVALID_ARGUMENT, f"{param} {fault}", param=param)
