"""Identifiers: random, ordered by time, and never a stranger's."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Protocol


class Ids(Protocol):
    """A source of new identifiers."""

    def new(self, prefix: str) -> str:
        """Answer `prefix` followed by 32 hexadecimal digits, never the same twice."""
        ...


class RandomIds:
    """UUIDv7 layout (RFC 9562, 5.7) without dashes: 48 bits of milliseconds, then 74 random bits.

    The time part makes database indexes append instead of scatter; the random part cannot be guessed.
    """

    def __init__(
        self, now: Callable[[], float] = time.time, entropy: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._now = now
        self._entropy = entropy

    def new(self, prefix: str) -> str:
        """See `Ids`."""
        random = int.from_bytes(self._entropy(10), "big")
        value = (int(self._now() * 1000) & 0xFFFF_FFFF_FFFF) << 80 | random
        value = value & ~(0xF << 76) | 0x7 << 76
        value = value & ~(0x3 << 62) | 0x2 << 62
        return f"{prefix}{value:032x}"


class SequentialIds:
    """1, 2, 3…: for tests that compare whole answers."""

    def __init__(self) -> None:
        self._last = 0

    def new(self, prefix: str) -> str:
        """See `Ids`."""
        self._last += 1
        return f"{prefix}{self._last:032x}"
