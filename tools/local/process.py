"""One running process of a unit, in a process group of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from tools.local import sentinel
from tools.local.unit import Unit

CONFIGURATION_ERROR = 2
"""A service's exit status when its settings are wrong: starting it again cannot help."""
SENTINEL_PATIENCE_S = 30.0
HOPELESS = frozenset({CONFIGURATION_ERROR, 125, 126, 127})


class Roll:
    """The list of living process groups that the sentinel keeps for the case that we die."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def open(cls, lock: Path) -> Roll:
        """Start the sentinel and return when it watches."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", sentinel.__file__, str(lock)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        async with asyncio.timeout(SENTINEL_PATIENCE_S):
            await process.stdout.readline()
        return cls(process)

    def enter(self, group: int, stop_signal: signal.Signals) -> None:
        """A group lives."""
        self._write(f"+ {group} {int(stop_signal)}\n")

    def strike(self, group: int) -> None:
        """A group is gone."""
        self._write(f"- {group}\n")

    async def close(self) -> None:
        """Let the sentinel end; it clears what is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(line.encode())


class Process:
    """A started unit."""

    def __init__(self, unit: Unit, inner: asyncio.subprocess.Process, roll: Roll) -> None:
        self.unit = unit
        self.pid = inner.pid
        self._inner = inner
        self._roll = roll

    @classmethod
    async def start(cls, unit: Unit, roll: Roll, folder: Path, inherited: tuple[int, ...]) -> Process:
        """Start the unit's command with its output appended to its log."""
        descriptor = os.open(unit.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            inner = await asyncio.create_subprocess_exec(
                *unit.command(os.getpid()),
                env=dict(unit.environment),
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                pass_fds=inherited,
            )
        finally:
            os.close(descriptor)
        roll.enter(inner.pid, unit.stop_signal)
        return cls(unit, inner, roll)

    async def wait(self) -> int:
        """Return the exit status (negative: the signal that ended it) and clear what it left in its group."""
        status = await self._inner.wait()
        sentinel.send(self.pid, signal.SIGKILL)
        self._roll.strike(self.pid)
        return status

    async def stop(self, hurried: asyncio.Event) -> None:
        """End it in order within the unit's grace, which hurrying shortens, and by force after that."""
        with contextlib.suppress(ProcessLookupError):
            self._inner.send_signal(self.unit.stop_signal)
        ending = asyncio.create_task(self.wait())
        hurry = asyncio.create_task(hurried.wait())
        await asyncio.wait({ending, hurry}, timeout=self.unit.grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if hurried.is_set():
            await asyncio.wait({ending}, timeout=self.unit.hurried_grace_s)
        if not ending.done():
            sentinel.send(self.pid, signal.SIGKILL)
        await ending


def how_it_ended(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
