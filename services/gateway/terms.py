"""What a client said about how its request shall be served: how urgent, how long it waits, whose conversation it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

ServiceClass = Literal["priority", "default", "flex", "batch"]

CLASSES: Mapping[str, ServiceClass] = {
    "priority": "priority",
    "fast": "priority",
    "scale": "priority",
    "flex": "flex",
}
"""OpenAI's tiers; all others are the default."""

SESSION_HEADER = b"x-session-id"
LONGEST_SESSION = 256

TIMEOUT_HEADERS = (b"x-stainless-read-timeout", b"x-stainless-timeout")
"""What the official SDKs say, in seconds: Python's and Node's."""

SHORTEST_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Terms:
    """Unset: what holds for everybody."""

    service_class: ServiceClass = "default"
    session: bytes = b""
    """The client's name for its conversation. Empty: none."""
    patience_s: float | None = None
    """Longest silence that the client bears, seconds: of an answer in one piece all of its time."""

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]], tier: str | None, cache_key: str | None) -> Terms:
        """Read a request's headers, its `service_tier` and `prompt_cache_key`. What makes no sense is passed over."""
        session, patience_s = b"", None
        for name, value in headers:
            if name == SESSION_HEADER and len(value) <= LONGEST_SESSION:
                session = value
            elif name in TIMEOUT_HEADERS:
                patience_s = _seconds(value) or patience_s
        return cls(CLASSES.get(tier or "", "default"), session or (cache_key or "").encode(), patience_s)


def _seconds(value: bytes) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if SHORTEST_WAIT_S <= seconds < float("inf") else None
