"""Turning the simulator's knobs while it runs: a unix socket that takes one JSON object a line.

::

    {"command": "set", "tokens_per_s": 100, "slowness": 10}
    {"command": "hang"}        alive, no tokens
    {"command": "resume"}
    {"command": "poison", "text": "please die"}     a prompt that holds it kills the process; empty: none
    {"command": "fail"}        the engine is dead, the process lives
    {"command": "kill"}        the process ends without a goodbye
    {"command": "state"}

Each is answered with one line, `{"pace": {…}}` or `{"error": "…"}`. The socket is the simulator's alone: with a real
engine it does not exist, and no prompt can do any of this unless the operator named a poison.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from chassis.sockets import listen, unix_path
from services.inference.engine_sim import SimEngine

LONGEST_LINE_BYTES = 65_536


def obey(engine: SimEngine, line: bytes) -> dict[str, Any]:
    """Do what one line says and answer for it."""
    try:
        words = json.loads(line)
        command = words.pop("command")
        match command:
            case "set":
                engine.turn(**words)
            case "poison":
                engine.poison(str(words.pop("text")))
            case "hang" | "resume" | "fail" | "kill":
                getattr(engine, command)()
            case "state":
                pass
            case _:
                return {"error": f"there is no command {command!r}"}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"pace": asdict(engine.pace)}


@asynccontextmanager
async def control(engine: SimEngine, address: str) -> AsyncIterator[None]:
    """Listen at `unix:/path` until the block is left."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(obey(engine, line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # gone, or a line without an end
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, sock=listen(address), limit=LONGEST_LINE_BYTES)
    try:
        yield
    finally:
        server.close()
        unix_path(address).unlink(missing_ok=True)
