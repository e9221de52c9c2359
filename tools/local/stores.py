"""What the stores have in common: real servers from Python packages, as plain children, on unix sockets only.

The packages' own Python layers daemonise or choose ports; the suite needs children that die with their parent, so only
the programs are used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from tools.local.problem import Problem

PROBE_TIMEOUT_S = 1.0


class Store(Protocol):
    """A server that keeps state: what the supervisor and the tests need to know of it."""

    @property
    def stop_signal(self) -> signal.Signals:
        """What ends it in order."""

    @property
    def version(self) -> str:
        """Of the server."""

    def prepare(self) -> None:
        """Make its files where they are not there yet; idempotent."""

    def command(self, parent: int) -> tuple[str, ...]:
        """The command line that runs it in the foreground as a child of process `parent`."""

    def is_ready(self) -> bool:
        """True if it answers now; waits at most `PROBE_TIMEOUT_S`."""


def package_folder(name: str) -> Path:
    """Where the installed package `name` is, without importing it.

    Raises:
        Problem: it is not installed.
    """
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Problem(f"The Python package {name.replace('_', '-')} is not installed here: run `make up`.")
    return Path(next(iter(spec.submodule_search_locations)))


def plain_environment() -> dict[str, str]:
    """The environment of a store: nothing of the caller's but the path, so that PG* or LC_* change nothing."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def death_arguments(stop_signal: signal.Signals, parent: int) -> tuple[str, ...]:
    """For `child.py`: end with process `parent`, by the signal that ends this program in order."""
    return ("--death-signal", str(int(stop_signal)), "--parent", str(parent))


@contextmanager
def running(store: Store, log: Path, patience_s: float = 60.0) -> Iterator[None]:
    """Run `store` for the length of the block, for programs that need a store and no supervisor.

    Raises:
        Problem: it ended by itself or was not ready in `patience_s`; the sentence quotes its last line.
    """
    store.prepare()
    with log.open("ab") as output:
        process = subprocess.Popen(
            store.command(os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=plain_environment(),
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + patience_s
        while not store.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Problem(f"{type(store).__name__} did not start: {last_line(log)}")
            time.sleep(0.02)
        yield
    finally:
        process.send_signal(store.stop_signal)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def last_line(log: Path, window_bytes: int = 4096) -> str:
    """The last line written to `log` that is not empty."""
    with log.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - window_bytes))
        lines: Sequence[str] = stream.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
