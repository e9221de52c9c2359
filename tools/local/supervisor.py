"""Keeps units running: starts them in order, starts again what fell over, ends them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tools.local.problem import Problem
from tools.local.process import HOPELESS, Process, Roll, how_it_ended
from tools.local.state import Phase, State, UnitState
from tools.local.stores import last_line
from tools.local.unit import Answer, Unit, always_ready

PROBE_EVERY_S = 0.1
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0
STEADY_S = 60.0
"""Running this long makes an earlier fall forgotten."""
ATTEMPTS = 3
"""Falls before being ready for the first time after which a start is given up."""
LONGEST_LOG_BYTES = 16 << 20
"""Of the current log of one process; one older file of the same size is kept."""
HOUSEKEEPING_S = 5.0


def delay_s(falls: int) -> float:
    """How long to wait before starting again after `falls` falls in a row, 1 or more."""
    return float(min(FIRST_DELAY_S * 2.0 ** (falls - 1), LONGEST_DELAY_S))


def shorten(log: Path, longest_bytes: int = LONGEST_LOG_BYTES) -> None:
    """Move a log that grew too long aside; the process goes on writing to the same file, opened for appending."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > longest_bytes:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


class Supervisor:
    """Runs `units` until asked to stop."""

    def __init__(self, units: Sequence[Unit], news: State, write: Callable[[State], None]) -> None:
        self._units = units
        self._news = news
        self._write = write
        self._ready = {unit.name: asyncio.Event() for unit in units}
        self._processes: dict[str, Process] = {}
        self._stop = asyncio.Event()
        self._hurried = asyncio.Event()
        self._news.units = [UnitState(unit.name, endpoint=unit.endpoint, once=unit.once) for unit in units]

    @property
    def all_ready(self) -> bool:
        """True once everything has been ready."""
        return self._news.phase is Phase.READY

    def ask_to_stop(self) -> None:
        """Stop; asked twice, at once."""
        (self._hurried if self._stop.is_set() else self._stop).set()

    async def run(self, roll: Roll, folder: Path, inherited: tuple[int, ...]) -> None:
        """Start everything and keep it until asked to stop; whatever happens, nothing runs afterwards.

        Raises:
            Problem: something did not start.
        """
        keepers = [
            asyncio.create_task(self._keep(unit, roll, folder, inherited), name=unit.name) for unit in self._units
        ]
        stop = asyncio.create_task(self._stop.wait())
        chores = [asyncio.create_task(self._announce_ready()), asyncio.create_task(self._keep_house())]
        try:
            waiting = {stop, *keepers}
            while not stop.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for keeper in done - {stop}:
                    keeper.result()
        finally:
            for task in (stop, *keepers, *chores):
                task.cancel()
            await asyncio.gather(stop, *keepers, *chores, return_exceptions=True)
            await self._stop_all()

    async def _keep(self, unit: Unit, roll: Roll, folder: Path, inherited: tuple[int, ...]) -> None:
        for name in unit.after:
            await self._ready[name].wait()
        falls = 0
        while True:
            started_at = time.monotonic()
            process = await self._start(unit, roll, folder, inherited)
            status = await self._watch(unit, process, started_at)
            if unit.once and status == 0:
                self._tell(unit, Phase.DONE, pid=0, note="", took_s=time.monotonic() - started_at)
                self._ready[unit.name].set()
                return
            if time.monotonic() - started_at > STEADY_S:
                falls = 0
            falls += 1
            was_ready = self._ready[unit.name].is_set()
            if not was_ready and (unit.once or falls >= ATTEMPTS or status in HOPELESS):
                raise Problem(self._epitaph(unit, how_it_ended(status)))
            pause_s = delay_s(falls)
            self._tell(unit, Phase.RESTARTING, pid=0, note=f"{how_it_ended(status)}; again in {pause_s:.0f} s")
            self._news.unit(unit.name).restarts += 1
            await asyncio.sleep(pause_s)

    async def _start(self, unit: Unit, roll: Roll, folder: Path, inherited: tuple[int, ...]) -> Process:
        self._tell(unit, Phase.STARTING, note="")
        if unit.prepare is not None:
            await asyncio.to_thread(unit.prepare)
        starting = asyncio.create_task(Process.start(unit, roll, folder, inherited))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:  # told to stop between fork and here: it must still be ended
            self._processes[unit.name] = await starting
            raise
        self._processes[unit.name] = process
        self._tell(unit, Phase.STARTING, pid=process.pid)
        return process

    async def _watch(self, unit: Unit, process: Process, started_at: float) -> int:
        """Wait until the process ends and answer its exit status; tell when it is ready."""
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(self._until_ready(unit, started_at))
        try:
            await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
            return await asyncio.shield(ended)
        finally:
            ready.cancel()
            if ended.done():
                self._processes.pop(unit.name, None)

    async def _until_ready(self, unit: Unit, started_at: float) -> None:
        if unit.once:
            await asyncio.sleep(unit.patience_s)
            raise Problem(self._epitaph(unit, f"still running after {unit.patience_s:.0f} s"))
        answer = Answer(ready=False)
        while not answer.ready:
            answer = await asyncio.to_thread(unit.probe or always_ready)
            if answer.ready:
                break
            if time.monotonic() - started_at > unit.patience_s:
                raise Problem(self._epitaph(unit, f"not ready after {unit.patience_s:.0f} s"))
            self._tell(unit, Phase.STARTING, note=answer.waiting_for)
            await asyncio.sleep(PROBE_EVERY_S)
        took_s = time.monotonic() - started_at
        self._tell(unit, Phase.READY, note="", took_s=took_s, version=answer.version)
        self._ready[unit.name].set()

    async def _announce_ready(self) -> None:
        for event in self._ready.values():
            await event.wait()
        self._news.phase = Phase.READY
        self._write(self._news)

    async def _keep_house(self) -> None:
        """Keep logs short, and write the state again, in case somebody has damaged the file."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            self._write(self._news)
            for unit in self._units:
                shorten(unit.log)

    async def _stop_all(self) -> None:
        self._news.phase = Phase.STOPPING
        for tier in sorted({unit.tier for unit in self._units}, reverse=True):
            await asyncio.gather(*(self._end(unit) for unit in self._units if unit.tier == tier))

    async def _end(self, unit: Unit) -> None:
        process = self._processes.pop(unit.name, None)
        if process is not None:
            self._tell(unit, Phase.STOPPING, note="")
            await process.stop(self._hurried)
        if self._news.unit(unit.name).phase is not Phase.DONE:
            self._tell(unit, Phase.STOPPED, pid=0, note="")

    def _tell(self, unit: Unit, phase: Phase, **changes: object) -> None:
        entry = self._news.unit(unit.name)
        before = asdict(entry)
        entry.phase = phase
        for name, value in changes.items():
            setattr(entry, name, value)
        if asdict(entry) != before:
            self._write(self._news)

    def _epitaph(self, unit: Unit, how: str) -> str:
        said = last_line(unit.log) if unit.log.exists() else "no output"
        hint = f" {unit.hint}" if unit.hint else ""
        return f"{unit.name} did not start ({how}): {said}{hint} (All it wrote: {unit.log})"
