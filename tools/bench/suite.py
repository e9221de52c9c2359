"""A suite to measure: the real services and stores, with the simulator for an engine, in a folder of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.load import Target
from tools.local import launch, state
from tools.local.assembly import environment
from tools.local.layout import Layout
from tools.local.plan import Plan
from tools.local.roster import DEMO_MODEL, served_model, services

START_S = 60.0


@dataclass(frozen=True)
class Suite:
    """What runs."""

    target: Target
    model: str
    pids: dict[str, int]
    """Process ids by name of the service or store."""
    layout: Layout
    """Where it is."""


@contextmanager
def running_suite(settings: dict[str, str]) -> Iterator[Suite]:
    """Run everything while the block lasts; `settings` override those of services, as CAPSTAN_…."""
    with tempfile.TemporaryDirectory(prefix="capstan-bench-") as folder:
        plan = Plan(Path(folder), str(DEMO_MODEL), port=_free_port(), engine="simulator", environment=settings)
        started = launch.start(plan, tied=True)
        try:
            for _ in launch.follow(started):
                pass
            told = state.read(started.folder.state)
            assert told is not None
            pids = {unit.name: unit.pid for unit in told.units if unit.pid > 0}
            key = started.folder.api_key.read_text().strip()
            layout = Layout(plan, started.folder)
            yield Suite(Target(plan.host, plan.port, key), served_model(plan.model), pids, layout)
        finally:
            for _ in launch.stop(started.folder):
                pass
            started.process.wait(60)
            started.release()


@contextmanager
def another_gateway(suite: Suite, settings: dict[str, str]) -> Iterator[Target]:
    """Run one more gateway of the suite, with `settings` of its own, while the block lasts."""
    (service,) = [each for each in services(suite.layout) if each.name == "gateway"]
    host, port = suite.target.host, _free_port()
    listen = {"HTTP_LISTEN": f"{host}:{port}", "ADMIN_LISTEN": f"{host}:{_free_port()}", "OPS_LISTEN": f"{host}:0"}
    process = subprocess.Popen(
        [sys.executable, "-m", service.module],
        cwd=launch.ROOT,
        env=environment(suite.layout, service, listen | settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + START_S
        while not _listens(host, port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("another gateway does not start")
            time.sleep(0.1)
        yield Target(host, port, suite.target.key)
    finally:
        process.terminate()
        process.wait(START_S)


def _listens(host: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((host, port)) == 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
