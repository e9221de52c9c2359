"""What a handler answers: something that can be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chassis.ops import Send

Headers = Sequence[tuple[bytes, bytes]]

JSON: Headers = ((b"content-type", b"application/json"),)


class Answer(Protocol):
    """Something that can be sent to a client."""

    async def send(self, send: Send) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that is there at once."""

    body: bytes
    headers: Headers = ()
    status: int = 200

    async def send(self, send: Send) -> None:
        """Write it."""
        length = (b"content-length", b"%d" % len(self.body))
        await send({"type": "http.response.start", "status": self.status, "headers": [*JSON, length, *self.headers]})
        await send({"type": "http.response.body", "body": self.body})
