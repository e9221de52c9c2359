"""The whole suite for tests, started by the supervisor that `capstan up` starts; nothing in it is a stand-in."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.local import launch, state
from tools.local.folder import DataFolder
from tools.local.plan import Plan
from tools.local.roster import DEMO_MODEL, served_model
from tools.local.state import Phase, State, UnitState

PATIENCE_S = 180.0
POLL_S = 0.05


class Stack:
    """A running suite: how to reach it, and how to hurt it."""

    def __init__(self, plan: Plan, folder: DataFolder) -> None:
        self.plan = plan
        self.folder = folder
        self.base_url = plan.base_url
        self.admin_url = plan.admin_url
        self.model = served_model(plan.model)

    @property
    def api_key(self) -> str:
        """The first API key."""
        return self.folder.api_key.read_text().strip()

    @property
    def admin_key(self) -> str:
        """The first admin key."""
        return self.folder.admin_key.read_text().strip()

    def unit(self, name: str) -> UnitState:
        """The process `name` as the supervisor knows it."""
        return self._state().unit(name)

    def address(self, name: str) -> str:
        """The gRPC address of the service `name`."""
        return f"unix:{self.folder.run / name}.sock"

    def ops_socket(self, name: str) -> Path:
        """The unix socket of the service's operations port."""
        return self.folder.run / f"{name}.ops.sock"

    def log(self, name: str) -> str:
        """All the process `name` wrote."""
        return (self.folder.logs / f"{name}.log").read_text(errors="replace")

    def send(self, name: str, number: signal.Signals) -> None:
        """Signal the process `name`: SIGKILL, SIGSTOP to freeze it, SIGCONT."""
        os.kill(self.unit(name).pid, number)

    def kill(self, name: str) -> None:
        """SIGKILL the process `name` and return when it is ready again, as another process."""
        before = self.unit(name).pid
        os.kill(before, signal.SIGKILL)
        self.replaced(name, before)

    def replaced(self, name: str, before: int) -> None:
        """Wait until the process `name` is ready again, as another one than that with the id `before`."""
        self.until(lambda told: told.unit(name).phase is Phase.READY and told.unit(name).pid not in {0, before})

    def until(self, true: Callable[[State], bool], patience_s: float = PATIENCE_S) -> State:
        """Wait until the state satisfies `true`."""
        deadline = time.monotonic() + patience_s
        while not true(told := self._state()):
            assert time.monotonic() < deadline, told
            time.sleep(POLL_S)
        return told

    def _state(self) -> State:
        told = state.read(self.folder.state)
        assert told is not None
        return told


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_stack(
    root: Path, *, engine: str = "vllm", durable: bool = False, environment: dict[str, str] | None = None
) -> Iterator[Stack]:
    """Run the suite in the folder `root` for the length of the block; it goes with this process, however that ends.

    Without `durable` a store that is killed loses what it acknowledged last.
    """
    plan = Plan(
        root,
        str(DEMO_MODEL),
        port=free_port(),
        admin_port=free_port(),
        engine=engine,
        durable=durable,
        environment=environment or {},
    )
    started = launch.start(plan, tied=True)
    try:
        for _ in launch.follow(started):
            pass
        yield Stack(plan, started.folder)
    finally:
        for _ in launch.stop(started.folder):
            pass
        started.process.wait(PATIENCE_S)
        started.release()
