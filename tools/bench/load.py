"""A load generator that costs little itself: raw HTTP/1.1 over asyncio, no client library, answers scanned as bytes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What a window of load saw."""

    requests: int = 0
    events: int = 0
    """Events of streams that carry text."""
    failures: int = 0
    latencies_s: list[float] = field(default_factory=list)
    first_event_s: list[float] = field(default_factory=list)

    def percentile(self, values: list[float], share: float) -> float:
        """Answer the value below which `share` of `values` lie; NaN without any."""
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@dataclass(frozen=True)
class Target:
    """Where the load goes."""

    host: str
    port: int
    key: str

    def request(self, path: str, body: dict[str, object]) -> bytes:
        """Write one POST request."""
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content


class Client:
    """One connection that sends one request at a time."""

    def __init__(self, target: Target, tally: Tally) -> None:
        self._target = target
        self._tally = tally
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def whole(self, request: bytes) -> None:
        """Send a request and read its answer to the end."""
        begin = time.perf_counter()
        reader = await self._send(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        self._count(head, begin)

    async def stream(self, request: bytes) -> None:
        """Send a request and read its stream to `[DONE]`."""
        begin = time.perf_counter()
        reader = await self._send(request)
        head = await reader.readuntil(b"\r\n\r\n")
        tail, first = b"", True
        while not tail.endswith(b"0\r\n\r\n"):
            data = await reader.read(65_536)
            if not data:
                self._tally.failures += 1
                await self.close()
                return
            count = data.count(b'"delta":{"content":"')
            if count and first:
                self._tally.first_event_s.append(time.perf_counter() - begin)
                first = False
            self._tally.events += count
            tail = (tail + data)[-64:]
        self._count(head, begin)

    async def _send(self, request: bytes) -> asyncio.StreamReader:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._target.host, self._target.port)
        self._writer.write(request)
        return self._reader

    def _count(self, head: bytes, begin: float) -> None:
        self._tally.requests += 1
        self._tally.latencies_s.append(time.perf_counter() - begin)
        if b" 200 " not in head[:16]:
            self._tally.failures += 1

    async def close(self) -> None:
        """Let go of the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def drive(
    target: Target, tally: Tally, clients: int, seconds: float, turn: Callable[[Client], Awaitable[None]]
) -> None:
    """Let `clients` connections take `turn` after `turn` for `seconds`; what is under way then is finished."""
    end = time.perf_counter() + seconds

    async def live() -> None:
        client = Client(target, tally)
        try:
            while time.perf_counter() < end:
                await turn(client)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            tally.failures += 1
        finally:
            await client.close()

    await asyncio.gather(*(live() for _ in range(clients)))
