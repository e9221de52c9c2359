"""What a stored answer is, and which ones are refused. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import CapstanError, Reason

MOST_BYTES = 16 * 2**20
"""Of both documents of one object together. A request's body has at most 4 MiB by default, an answer less."""

MOST_PAGE_BYTES = 8 * 2**20
"""Of the documents in one page, unless one alone is larger: who reads a page has other work, too."""

LONGEST_PAGE = 100
DEFAULT_PAGE = 20
LONGEST_THREAD = 256
"""Objects that go on from each other. Together they have at most `MOST_BYTES`: no model reads more."""

MOST_PAIRS, LONGEST_KEY, LONGEST_VALUE = 16, 64, 512
LONGEST_MODEL = 512

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class Kind(enum.Enum):
    """What is stored."""

    CHAT_COMPLETION = "chat_completion"
    RESPONSE = "response"

    @property
    def words(self) -> str:
        """As errors name it."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer and what was asked. `create_time` is aware."""

    kind: Kind
    object_id: str
    create_time: datetime
    model: str
    metadata: Mapping[str, str]
    previous_id: str
    """Empty: it goes on from nothing."""
    answer_json: bytes
    input_json: bytes


@dataclass(frozen=True, slots=True)
class StoredPage:
    """Part of a list."""

    stored: list[Stored]
    has_more: bool


def check_new(stored: Stored) -> None:
    """Raise `CapstanError` (INVALID_ARGUMENT, `param`) when `stored` may not be kept."""
    for param, value in (("object_id", stored.object_id), ("previous_id", stored.previous_id or stored.object_id)):
        if not could_exist(value):
            raise invalid(param, 'must be 1 to 128 letters, digits, "-" or "_"')
    if not 1 <= len(stored.model) <= LONGEST_MODEL or "\0" in stored.model:
        raise invalid("model", f"must have 1 to {LONGEST_MODEL} characters")
    if len(stored.answer_json) + len(stored.input_json) > MOST_BYTES:
        raise invalid("input_json", f"must have, with the answer, at most {MOST_BYTES} bytes")
    check_metadata(stored.metadata)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raise `CapstanError` (INVALID_ARGUMENT) unless `metadata` may be kept."""
    if len(metadata) > MOST_PAIRS:
        raise invalid("metadata", f"must have at most {MOST_PAIRS} pairs")
    for key, value in metadata.items():
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE or "\0" in key or "\0" in value:
            raise invalid("metadata", f"has keys of up to {LONGEST_KEY} and values of up to {LONGEST_VALUE} characters")


def could_exist(object_id: str) -> bool:
    """Tell whether `object_id` has the form that every kept object's id has."""
    return _ID.fullmatch(object_id) is not None


def could_match(model: str, metadata: Mapping[str, str]) -> bool:
    """Tell whether any object can fit such a filter; the database must not be asked about what it cannot hold."""
    return "\0" not in model and all("\0" not in key and "\0" not in value for key, value in metadata.items())


def page_size(limit: int) -> int:
    """Read how many objects a list may hold. Raises `CapstanError` (INVALID_ARGUMENT)."""
    if not 0 <= limit <= LONGEST_PAGE:
        raise invalid("limit", f"must be 1 to {LONGEST_PAGE}, or 0 for {DEFAULT_PAGE}")
    return limit or DEFAULT_PAGE


def not_found(kind: Kind, object_id: str) -> CapstanError:
    """Build the one answer for an object that is not there, is too old, or is another tenant's."""
    return CapstanError(Reason.OBJECT_NOT_FOUND, f"no such {kind.words}", object=kind.words, id=object_id)


def invalid(param: str, fault: str) -> CapstanError:
    """Build the answer to an argument that is wrong."""
    return CapstanError(Reason.INVALID_ARGUMENT, f"{param} {fault}", param=param)
