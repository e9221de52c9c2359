"""What the fields of requests may hold: every function answers the value, or raises INVALID_ARGUMENT with the field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.clock import Clock
from chassis.errors import CapstanError, Reason
from services.auth.limits import AMOUNTS, Numbers
from services.auth.permissions import ALL

Word = TypeVar("Word", bound=str)

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_TEXT = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]{0,1000}")
_EMAIL = re.compile(r"[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+")
_LONGEST_EMAIL = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
_SCOPE = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.ASCII)
_MODEL = re.compile(r"[^\x00-\x20\x7f]{1,256}")
_MOST_SCOPES = 64
LARGEST = 2**53 - 1
"""What JSON readers everywhere can hold."""

_MOST_PERMISSIONS = 100


def invalid(param: str, message: str) -> CapstanError:
    """Build the error."""
    return CapstanError(Reason.INVALID_ARGUMENT, f"{param}: {message}", param=param)


def name(param: str, text: str) -> str:
    """Check a name for people."""
    if not _NAME.fullmatch(text) or not text.strip():
        raise invalid(param, "must have 1 to 100 characters and no control characters")
    return text


def description(param: str, text: str) -> str:
    """Check a text for people; it may be empty."""
    if not _TEXT.fullmatch(text):
        raise invalid(param, "must have at most 1,000 characters and no control characters")
    return text


def email(param: str, text: str) -> str:
    """Check an address: that it can be one, not that it is anybody's."""
    if len(text) > _LONGEST_EMAIL or not _EMAIL.fullmatch(text):
        raise invalid(param, "must be an e-mail address")
    return text


def one_of(param: str, text: str, words: Sequence[Word]) -> Word:
    """Check a word of a list."""
    for word in words:
        if text == word:
            return word
    raise invalid(param, "must be " + " or ".join(f'"{word}"' for word in words))


def scopes(param: str, words: Sequence[str]) -> tuple[str, ...]:
    """Check the scopes of a key; none stands for all."""
    if len(words) > _MOST_SCOPES or not all(word == ALL or _SCOPE.fullmatch(word) for word in words):
        raise invalid(param, f'must be "*" or at most {_MOST_SCOPES} words like model.request')
    return tuple(dict.fromkeys(words)) or (ALL,)


def permissions(param: str, words: Sequence[str]) -> tuple[str, ...]:
    """Check the permissions of a role."""
    if not 1 <= len(words) <= _MOST_PERMISSIONS or not all(map(_SCOPE.fullmatch, words)):
        raise invalid(param, f"must be 1 to {_MOST_PERMISSIONS} words like api.groups.read")
    return tuple(dict.fromkeys(words))


def models(param: str, names: Sequence[str], most: int) -> tuple[str, ...]:
    """Check names of models, of which nobody here knows which there are."""
    if len(names) > most or not all(map(_MODEL.fullmatch, names)):
        raise invalid(param, f"must be at most {most} names of models")
    return tuple(dict.fromkeys(names))


def networks(param: str, texts: Iterable[str], most: int = 100) -> tuple[str, ...]:
    """Check addresses and networks of either version; answer them in one spelling. An address is a network of one."""
    found = list(dict.fromkeys(texts))
    if len(found) > most:
        raise invalid(param, f"must be at most {most}")
    try:
        return tuple(dict.fromkeys(str(ip_network(text, strict=False)) for text in found))
    except ValueError:
        raise invalid(param, 'must be networks such as "10.0.0.0/8" or "2001:db8::1"') from None


def expiry(param: str, at: Timestamp | None, clock: Clock) -> datetime | None:
    """Check when something ends: in the future, or never (None)."""
    if at is None:
        return None
    try:
        instant = at.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid(param, "must be before the year 10000") from None
    if at.ToNanoseconds() <= clock.now() * 1e9:
        raise invalid(param, "must be in the future")
    return instant


def amounts(param: str, limit: Numbers) -> Numbers:
    """Check the numbers of a rate limit."""
    if any(not 0 <= value <= LARGEST for name in AMOUNTS if (value := getattr(limit, name)) is not None):
        raise invalid(param, f"must have amounts of 0 to {LARGEST}")
    if not 1 <= limit.burst_percent <= 100:
        raise invalid(param, "must have a burst of 1 to 100 percent")
    return limit
