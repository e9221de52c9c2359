"""A suite to measure: the real services and stores, with the simulator for an engine, in a folder of its own."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.load import Target
from tools.local import launch, state
from tools.local.plan import Plan
from tools.local.roster import DEMO_MODEL, served_model


@dataclass(frozen=True)
class Suite:
    """What runs."""

    target: Target
    model: str
    pids: dict[str, int]
    """Process ids by name of the service or store."""


@contextmanager
def running_suite(environment: dict[str, str]) -> Iterator[Suite]:
    """Run everything while the block lasts; `environment` overrides settings of services."""
    with tempfile.TemporaryDirectory(prefix="capstan-bench-") as folder:
        plan = Plan(Path(folder), str(DEMO_MODEL), port=_free_port(), engine="simulator", environment=environment)
        started = launch.start(plan, tied=True)
        try:
            for _ in launch.follow(started):
                pass
            told = state.read(started.folder.state)
            assert told is not None
            pids = {unit.name: unit.pid for unit in told.units if unit.pid > 0}
            key = started.folder.api_key.read_text().strip()
            yield Suite(Target(plan.host, plan.port, key), served_model(plan.model), pids)
        finally:
            for _ in launch.stop(started.folder):
                pass
            started.process.wait(60)
            started.release()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
