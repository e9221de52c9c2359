"""A TCP proxy on loopback whose connections fail on command: what a network does, without root.

Modes: `pass`; `delay` (each piece waits, both ways); `blackhole` (accepts, swallows, never answers: a frozen peer);
`half` (only replies are lost); `refuse` (new connections are closed at once); `cut` (all open connections are reset,
and new ones too). Those but `refuse` act on connections that are open already, which is what finds the timeouts that
somebody forgot.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Literal

Mode = Literal["pass", "delay", "blackhole", "half", "refuse", "cut"]

HELD_BYTES = 1 << 16


class FaultProxy:
    """One listening port in front of one target."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._mode: Mode = "pass"
        self._delay_s = 0.0
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0
        """Accepted so far."""

    def turn(self, mode: Mode, delay_s: float = 0.0) -> None:
        """Fail like that from now on."""
        self._mode, self._delay_s = mode, delay_s
        self._changed.set()
        self._changed = asyncio.Event()
        if mode == "cut":
            for writer in list(self._writers):
                reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        inner: asyncio.StreamWriter | None = None
        try:
            if self._mode == "cut":
                reset(writer)
            if self._mode in ("cut", "refuse"):
                return
            while self._mode == "blackhole":
                await self._changed.wait()
            answers, inner = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._writers.add(inner)
            forth = asyncio.ensure_future(self._pump(reader, inner, replies=False))
            back = asyncio.ensure_future(self._pump(answers, writer, replies=True))
            try:
                await asyncio.wait([forth, back], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in (forth, back):
                    pump.cancel()
                await asyncio.gather(forth, back, return_exceptions=True)
        except OSError:
            pass
        finally:
            for each in (writer, inner):
                if each is not None:
                    self._writers.discard(each)
                    each.close()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(HELD_BYTES):
                if self._mode == "delay":
                    await asyncio.sleep(self._delay_s)
                while self._mode == "blackhole" or (self._mode == "half" and replies):
                    await self._changed.wait()
                writer.write(data)
                await writer.drain()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[FaultProxy]:
        """Listen on a free port of loopback until the block is left."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HELD_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a crash does: by a reset and no farewell."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
