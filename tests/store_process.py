"""A store of a test's own that may be frozen, killed and started again: the faults of a dependency, played for real."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tools.local.postgres import PostgresStore
from tools.local.stores import plain_environment
from tools.local.valkey import ValkeyStore

PATIENCE_S = 60.0


class StoreProcess:
    """Owns the server process of one store. `valkey_process` and `postgres_process` make and end one."""

    def __init__(self, store: PostgresStore | ValkeyStore, log: Path) -> None:
        self.store = store
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self.store.command(os.getpid()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=plain_environment(),
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_S
        while not self.store.is_ready():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.01)

    def freeze(self) -> None:
        """Stop the server with all its children, as a machine that hangs does: sockets stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server with all its children at once, without any order."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(PATIENCE_S)
        self._process = None

    def end(self) -> None:
        """Make sure that nothing is left running."""
        if self._process is not None:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # a server process for a client may end at any time
                one.send_signal(number)


@contextmanager
def valkey_process(folder: Path) -> Iterator[StoreProcess]:
    """Run a Valkey that keeps nothing: it starts empty each time. `folder` must have a short path."""
    store = ValkeyStore(folder / "v", folder / "v.sock", durable=False)
    store.prepare()
    process = StoreProcess(store, folder / "v.log")
    try:
        process.start()
        yield process
    finally:
        process.end()


@contextmanager
def postgres_process(folder: Path) -> Iterator[StoreProcess]:
    """Run a PostgreSQL of which what was committed outlives `kill`. `folder` must have a short path."""
    store = PostgresStore(folder / "pg", folder / "pgs")
    store.prepare()
    process = StoreProcess(store, folder / "pg.log")
    try:
        process.start()
        yield process
    finally:
        process.end()
