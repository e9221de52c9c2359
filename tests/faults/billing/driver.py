"""Clients of the running suite that remember what they saw, so that it can be held against the books."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.contract.told import Told


@dataclass
class Seen:
    """What one client saw of one request."""

    request_id: str = ""
    status: int = 0
    """0: the connection broke before there was one."""
    code: str = ""
    """Of the error, if it was one."""
    tokens: int = 0
    """Pieces of text that arrived; the simulator sends a token in each."""
    usage: dict[str, Any] = field(default_factory=dict)
    """What the answer said was used; empty: it did not get so far."""
    completed: bool = False
    """True when the whole answer, or the stream's end, was there."""


class Driver:
    """Asks for chats on connections of their own."""

    def __init__(self, base_url: str, key: str, model: str, told: Told) -> None:
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._key = key
        self._model = model
        self._told = told

    async def chat(self, *, stream: bool = True, on_token: Callable[[], object] = int, **body: Any) -> Seen:
        """Ask once; never raises for what the suite does."""
        seen = Seen()
        wanted: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": "Tell me of capstans."}],
            "stream": stream,
        }
        if stream:
            wanted["stream_options"] = {"include_usage": True}
        raw = json.dumps(wanted | body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self._key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(raw)}\r\nconnection: close\r\n\r\n"
        )
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return seen
        try:
            writer.write(head.encode() + raw)
            await self._read(reader, seen, on_token)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
        if seen.status == 200 and seen.completed and seen.usage:
            self._told.note(seen.request_id, seen.usage)
        return seen

    async def speaking(self, streams: int, tokens: int, **body: Any) -> list[asyncio.Task[Seen]]:
        """Begin so many streams; answer when each has got so many tokens. None may have ended by then."""
        running: Counter[int] = Counter()
        tasks = [
            asyncio.create_task(self.chat(on_token=lambda number=number: running.update([number]), **body))
            for number in range(streams)
        ]
        async with asyncio.timeout(60):
            while len(running) < streams or min(running.values()) < tokens:
                assert not any(task.done() for task in tasks), [task.result() for task in tasks if task.done()]
                await asyncio.sleep(0.02)
        return tasks

    async def _read(self, reader: asyncio.StreamReader, seen: Seen, on_token: Callable[[], object]) -> None:
        status = await reader.readuntil(b"\r\n")
        seen.status = int(status.split()[1])
        streamed = False
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            name, _, value = line.decode().partition(":")
            if name.lower() == "x-request-id":
                seen.request_id = value.strip()
            streamed |= name.lower() == "content-type" and "event-stream" in value
        if not streamed:
            document = json.loads(await reader.read())
            seen.code = (document.get("error") or {}).get("code") or ""
            seen.usage = document.get("usage") or {}
            seen.completed = "choices" in document
            return
        while line := await reader.readline():
            if line == b"data: [DONE]\n":
                seen.completed = True
            elif line.startswith(b"data: "):
                event = json.loads(line[6:])
                seen.usage = event.get("usage") or seen.usage
                seen.code = (event.get("error") or {}).get("code") or seen.code
                if any(choice["delta"].get("content") for choice in event.get("choices") or ()):
                    seen.tokens += 1
                    on_token()
