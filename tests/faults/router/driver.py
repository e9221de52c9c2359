"""Clients of both gateways: a steady stream of requests, and one line about each."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.faults.proxy import reset
from tests.faults.router.cluster import GATEWAYS, MODEL, Cluster
from tests.integration.gateway.scripted import KEY

NARROW_BYTES = 4096


@dataclass
class Outcome:
    """How one request went, as its client saw it."""

    prompt: str
    started_at: float
    status: int = 0
    request_id: str = ""
    text: str = ""
    done: bool = False
    error: str = ""
    completion_tokens: int = 0
    comments: int = 0
    first_byte_s: float = 0.0
    first_event_s: float = 0.0
    took_s: float = 0.0
    retry_after_s: int = 0

    @property
    def went_well(self) -> bool:
        return self.status == 200 and self.done and not self.error


@dataclass
class Balancer:
    """What stands in front of gateways: a new connection goes to one that says it is ready."""

    cluster: Cluster
    gateways: Sequence[str] = GATEWAYS
    turn: int = 0

    def __post_init__(self) -> None:
        self.ready = list(self.gateways)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Balancer]:
        async def watch() -> None:
            while True:
                ready = [name for name in self.gateways if await self.cluster[name].is_ready()]
                self.ready = ready or self.ready
                await asyncio.sleep(0.05)

        task = asyncio.create_task(watch())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    def next(self) -> str:
        self.turn += 1
        return self.ready[self.turn % len(self.ready)]


async def ask(
    cluster: Cluster,
    gateway: str,
    prompt: str,
    *,
    max_tokens: int = 30,
    leave_after: int | None = None,
    leave_after_s: float = 60.0,
    abruptly: bool = False,
    read_from: asyncio.Event | None = None,
    seen: Callable[[int], None] = lambda events: None,
    key: str = KEY,
    **more: Any,
) -> Outcome:
    """Stream one answer; leave after so many events (0: at the first comment) or seconds, `abruptly`: by a reset.

    `read_from`: read nothing before, with little room for what comes. `seen` is told the number of each event as it
    comes. With `stream=False` the outcome is done when the answer is here.
    """
    outcome = Outcome(prompt, time.monotonic())
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    raw = json.dumps(body | more).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    writer = None
    try:
        async with asyncio.timeout(leave_after_s):
            reader, writer = await _connected(cluster.doors[gateway], narrow=read_from is not None)
            writer.write(head.encode() + raw)
            if read_from is not None:
                await read_from.wait()
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            outcome.first_byte_s = time.monotonic() - outcome.started_at
            outcome.status = int(lines[0].split()[1])
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            outcome.request_id = headers.get("x-request-id", "")
            outcome.retry_after_s = int(headers.get("retry-after", "0"))
            await _read(reader, outcome, leave_after, seen)
    except (OSError, EOFError, TimeoutError) as error:
        outcome.error = type(error).__name__
    finally:
        if writer is not None and abruptly:
            reset(writer)
        elif writer is not None:
            writer.close()
    outcome.took_s = time.monotonic() - outcome.started_at
    return outcome


async def _connected(port: int, *, narrow: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not narrow:
        return await asyncio.open_connection("127.0.0.1", port)
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_BYTES)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=connection, limit=NARROW_BYTES)


async def _read(
    reader: asyncio.StreamReader, outcome: Outcome, leave_after: int | None, seen: Callable[[int], None]
) -> None:
    events = 0
    while line := await reader.readline():
        if line.startswith(b": "):
            outcome.comments += 1
            if leave_after == 0:
                return
        elif line.startswith(b"data: [DONE]"):
            outcome.done = True
        elif line.startswith(b"data: "):
            chunk = json.loads(line[6:])
            if "error" in chunk:
                outcome.error = chunk["error"]["code"] or chunk["error"]["message"]
                continue
            outcome.text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
            if chunk.get("usage"):
                outcome.completion_tokens = chunk["usage"]["completion_tokens"]
            events += 1
            if events == 1:
                outcome.first_event_s = time.monotonic() - outcome.started_at
            seen(events)
            if leave_after is not None and events >= leave_after:
                return
        elif line.startswith(b"{"):
            answer = json.loads(line)
            if outcome.status != 200:
                outcome.error = answer["error"]["code"] or "error"
                continue
            outcome.done, outcome.text = True, answer["choices"][0]["message"]["content"]
            outcome.completion_tokens = answer["usage"]["completion_tokens"]


class Load:
    """A steady rate of requests, open loop: none waits for another."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        per_s: float,
        seed: int,
        max_tokens: int = 30,
        gateways: Sequence[str] = GATEWAYS,
        key: str = KEY,
    ) -> None:
        self._cluster = cluster
        self._gateways = gateways
        self._key = key
        self._per_s = per_s
        self._random = random.Random(seed)
        self._max_tokens = max_tokens
        self._tasks: list[asyncio.Task[Outcome]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Ask from now on until the block is left."""
        async with Balancer(self._cluster, self._gateways).watching() as balancer:
            asking = asyncio.create_task(self._ask(balancer))
            try:
                yield self
            finally:
                asking.cancel()
                await asyncio.wait([asking])
                await asyncio.wait(self._tasks)

    async def _ask(self, balancer: Balancer) -> None:
        number = 0
        while True:
            number += 1
            prompt = f"Prompt {number % 20} " + "about capstans " * (number % 20)
            asking = ask(self._cluster, balancer.next(), prompt, max_tokens=self._max_tokens, key=self._key)
            self._tasks.append(asyncio.create_task(asking))
            await asyncio.sleep(self._random.expovariate(self._per_s))

    def outcomes(self) -> list[Outcome]:
        """All that is over."""
        return [task.result() for task in self._tasks if task.done()]


def check_texts(outcomes: Sequence[Outcome]) -> None:
    """The same prompt has the same text, whatever happened on the way: nothing lost, nothing twice."""
    texts: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.went_well:
            assert texts.setdefault(outcome.prompt, outcome.text) == outcome.text, outcome


async def check_bills(cluster: Cluster, outcomes: Sequence[Outcome]) -> None:
    """Every answer that came to its end is billed once, with the tokens that its client was told."""
    done = [outcome for outcome in outcomes if outcome.went_well]
    events = cluster.peers.billing.events
    async with asyncio.timeout(20):
        while any(outcome.request_id not in events for outcome in done):
            await asyncio.sleep(0.05)
    for outcome in done:
        assert events[outcome.request_id].usage.completion_tokens == outcome.completion_tokens
