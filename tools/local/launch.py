"""Starting and stopping the whole from outside: what `capstan up` and the tests' `stack` have in common."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.local import lock, state
from tools.local.folder import DataFolder, refuse_without_space
from tools.local.plan import ADMIN_HOST, Plan, refuse_busy_port
from tools.local.problem import Problem
from tools.local.state import Phase, State
from tools.local.stores import last_line

ROOT = Path(__file__).resolve().parents[2]
POLL_S = 0.1
SECOND = 3
"""A supervisor's exit status when another one holds the data folder."""
SUPERVISOR_PATIENCE_S = 30.0
"""For a supervisor's first sign of life: it may have to wait for an earlier run's processes."""


@dataclass
class Started:
    """A supervisor that was just started."""

    folder: DataFolder
    process: subprocess.Popen[bytes]
    tether: int
    """Our end of the pipe; closing it before all is ready stops everything."""
    joined: bool = False
    """Somebody else was quicker, and it is his that runs."""

    def release(self) -> None:
        """Let go of the pipe."""
        os.close(self.tether)


def import_path() -> str:
    """PYTHONPATH under which children find the suite, also from a bare checkout."""
    roots = [str(ROOT), str(ROOT / "protos" / "gen")]
    given = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part not in roots]
    return os.pathsep.join([*roots, *given])


def running(folder: DataFolder) -> State | None:
    """What runs in `folder`; None if no supervisor holds it. A held lock without a readable state is a bare state."""
    owner = lock.holder(folder.lock)
    if owner is None:
        return None
    pid = int(owner) if owner.strip().isdigit() else 0
    told = state.read(folder.state)
    if told is not None and told.pid == pid:
        return told
    return State(pid=pid, started_at=0.0)


def start(plan: Plan, *, tied: bool = False) -> Started:
    """Start a supervisor for `plan` in a session of its own.

    Raises:
        Problem: the data folder, the disk or the port forbids it.
    """
    folder = DataFolder(plan.data_dir)
    folder.make()
    refuse_without_space(folder.root)
    refuse_busy_port(plan.host, plan.port)
    refuse_busy_port(ADMIN_HOST, plan.admin_listen_port, "--admin-port")
    theirs, ours = os.pipe()
    command = [sys.executable, "-m", "tools.local", plan.to_json(), "--tether", str(theirs)]
    try:
        with (folder.logs / "supervisor.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *(["--tied"] if tied else [])],
                cwd=folder.root,
                env=os.environ | {"PYTHONPATH": import_path()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs],
                start_new_session=True,
            )
    finally:
        os.close(theirs)
    return Started(folder, process, ours)


def follow(started: Started) -> Iterator[State]:
    """Yield each state until everything is ready.

    Raises:
        Problem: it did not come to that; the supervisor has ended and nothing runs.
    """
    deadline = time.monotonic() + SUPERVISOR_PATIENCE_S
    while True:
        ended = started.process.poll() is not None
        told = state.read(started.folder.state)
        if told is not None and told.pid == started.process.pid:
            yield told
            if told.phase is Phase.READY:
                return
            if told.phase is Phase.FAILED and ended:
                raise Problem(told.problem)
            if told.phase is Phase.STOPPED and ended:
                raise Problem("It was told to stop while it started.")
        elif started.process.returncode == SECOND:
            started.joined = True
            yield from watch_other(started.folder)
            return
        elif time.monotonic() > deadline:
            started.process.kill()
            raise Problem(_silent(started.folder))
        if ended:
            raise Problem(_silent(started.folder))
        time.sleep(POLL_S)


def _silent(folder: DataFolder) -> str:
    log = folder.logs / "supervisor.log"
    return f"The supervisor ended before it could say why: {last_line(log)} (All it wrote: {log})"


def watch_other(folder: DataFolder) -> Iterator[State]:
    """Yield the states of a supervisor that somebody else started, until it is ready or gone."""
    while (told := running(folder)) is not None:
        yield told
        if told.phase is Phase.READY:
            return
        time.sleep(POLL_S)


def stop(folder: DataFolder, *, hurried: bool = False) -> Iterator[State]:
    """Ask the supervisor of `folder` to stop and yield the states until it has; nothing if none runs.

    Raises:
        Problem: the lock is held but nobody knows by whom.
    """
    told = running(folder)
    if told is None:
        return
    if told.pid <= 0:
        raise Problem(f"{folder.lock} is held but does not say by which process: end it by hand.")
    _signal(told.pid, signal.SIGTERM)
    if hurried:
        _signal(told.pid, signal.SIGINT)  # another number, because two equal ones may count as one
    while (told := running(folder)) is not None:
        yield told
        time.sleep(POLL_S)
    lock.wait_until_free(folder.sentinel_lock, SUPERVISOR_PATIENCE_S)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Problem(f"Capstan runs as another user here (process {pid}).") from error
