"""A raw HTTP/1.1 client: it sees every byte, and can leave in the middle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.contract.told import Told, says_what_was_used


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Talks to a gateway on a unix socket, a connection per request."""

    socket: Path
    key: str
    told: Told | None = None
    """Where to keep what completed requests are said to have used."""

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", path, b"", **options)

    async def post(self, path: str, body: object, **options: Any) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", path, raw, **options)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        heard: bytearray | None = None,
    ) -> Answer:
        """Ask. What arrives is in `heard` at once. Raises `TimeoutError` after 30 s."""
        heard = bytearray() if heard is None else heard
        key = self.key if key is None else key
        sent = {"host": "gateway", "connection": "close", "content-length": str(len(body))}
        if body:
            sent["content-type"] = "application/json"
        if key:
            sent["authorization"] = f"Bearer {key}"
        sent |= headers or {}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        try:
            writer.write(head.encode() + b"\r\n" + body)
            async with asyncio.timeout(30):
                while more := await reader.read(65_536):
                    heard += more
                answer = _answer(bytes(heard))
        finally:
            writer.close()
        if self.told is not None and says_what_was_used(method, path, answer.status, answer.headers):
            self.told.answered(answer.headers["x-request-id"], answer.body)
        return answer


def _answer(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        whole = b""
        while body:
            size, _, rest = body.partition(b"\r\n")
            count = int(size, 16)
            if count == 0:
                break
            whole += rest[:count]
            body = rest[count + 2 :]
        body = whole
    return Answer(int(status.split()[1]), headers, body)


def error(answer: Answer) -> tuple[int, str, str | None, str | None]:
    body = answer.json()["error"]
    assert set(body) == {"message", "type", "param", "code"}
    return answer.status, body["type"], body["param"], body["code"]


async def eventually(holds: Callable[[], object]) -> None:
    """Wait for what happens in the background. Raises `TimeoutError` after 20 s."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def leave(asking: Coroutine[Any, Any, Answer], once: Callable[[], object]) -> None:
    """Ask, and close the connection in the middle of the answer when `once` holds."""
    task = asyncio.create_task(asking)
    await eventually(lambda: once() or task.done())
    assert task.cancel(), task.result()
    await asyncio.wait([task])
