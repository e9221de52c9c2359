"""Two gateways, two routers and three simulated replicas as real processes, fault proxies in front of every gRPC port.

What a request needs besides (auth, limits, books) is scripted in this process: its faults have tests of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.proxy import FaultProxy
from tests.integration.gateway.scripted import Peers
from tests.stack import free_port
from tools.local.launch import ROOT, import_path

MODEL, COLD = "sim", "cold"
REPLICAS = ("r0", "r1", "r2")
ROUTERS = ("router0", "router1")
GATEWAYS = ("gateway0", "gateway1")
STEADY = {
    "ENGINE": "simulator",
    "MODEL_NAME": MODEL,
    "MAX_RUNNING": "16",
    # Room for what two routers place at once, each of which learns of the other's only from the next report.
    "MAX_WAITING": "32",
    "SIM_TOKENS_PER_S": "60",
    "SIM_TTFT_S": "0.02",
    "SIM_ANSWER_TOKENS": "100000",
    "SIM_POISON": "please die now",
    "DRAIN_DELAY_S": "0.5",
    "GRACE_S": "20",
}
READY_WITHIN_S = 180.0


@dataclass
class Process:
    """A service, started as often as a test wants."""

    name: str
    module: str
    environment: dict[str, str]
    log: Path
    ops: Path
    running: asyncio.subprocess.Process | None = None
    starts: int = field(default=0)

    async def start(self) -> None:
        """Start it and return when it is ready."""
        await self._spawn()
        await self.ready()

    async def _spawn(self) -> None:
        self.starts += 1
        theirs, self.tether = os.pipe()
        with self.log.open("ab") as log:
            self.running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self.module),
                cwd=ROOT,
                env={**os.environ, **self.environment, f"{self.prefix}PARENT_FD": str(theirs)},
                stdout=log,
                stderr=log,
                pass_fds=(theirs,),
                start_new_session=True,
            )
        os.close(theirs)

    @property
    def prefix(self) -> str:
        return f"CAPSTAN_{self.module.rpartition('.')[2].upper()}_"

    async def ready(self) -> None:
        """Return when its operations port says so."""
        async with asyncio.timeout(READY_WITHIN_S):
            while not await self.is_ready():
                assert self.running is not None
                assert self.running.returncode is None, self.log.read_text()[-2000:]
                await asyncio.sleep(0.05)

    @property
    def lives(self) -> bool:
        return self.running is not None and self.running.returncode is None

    async def is_ready(self) -> bool:
        return (await self.page("/readyz"))[:12] == "HTTP/1.1 200"

    async def page(self, path: str) -> str:
        """A page of its operations port with its head; empty when nobody answers."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.ops))
        except OSError:
            return ""
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n".encode())
            async with asyncio.timeout(2):
                return (await reader.read()).decode()
        except (OSError, TimeoutError):
            return ""
        finally:
            writer.close()

    async def metric(self, name: str, label: str = "") -> float:
        """The sum of an instrument's samples, of those that have `label`, written `name="value"`; 0 of who is dead."""
        async with asyncio.timeout(READY_WITHIN_S):
            while not (page := await self.page("/metrics")) and self.lives:
                await asyncio.sleep(0.05)
        lines = (line for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{")) and label in line)
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self.send(signal.SIGKILL)
        await self._gone()

    async def terminate(self) -> int:
        """SIGTERM; returns its exit status."""
        self.send(signal.SIGTERM)
        return await self._gone()

    def send(self, number: signal.Signals) -> None:
        assert self.running is not None
        if self.running.returncode is None:
            self.running.send_signal(number)

    async def _gone(self) -> int:
        assert self.running is not None
        async with asyncio.timeout(40):
            status = await self.running.wait()
        with contextlib.suppress(OSError):
            os.close(self.tether)
        self.sweep()
        return status

    def sweep(self) -> None:
        """End what a process that is gone has left: vLLM's engine outlives a service that was killed."""
        assert self.running is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.running.pid, signal.SIGKILL)


class Cluster:
    """Everything, by name."""

    def __init__(
        self,
        folder: Path,
        peers: Peers,
        *,
        replicas: Sequence[str] = REPLICAS,
        engine: Mapping[str, str] = STEADY,
    ) -> None:
        """`engine`: settings of every replica."""
        self.folder = folder
        self.peers = peers
        self.replicas = replicas
        self._engine = dict(engine)
        self.processes: dict[str, Process] = {}
        self.proxies: dict[str, FaultProxy] = {}
        self._ports = {name: free_port() for name in (*replicas, "cold", *ROUTERS)}
        self.doors = {name: free_port() for name in GATEWAYS}
        """The gateways' public ports."""

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    async def command(self, replica: str, word: str, **more: Any) -> None:
        """Turn a simulator's knob."""
        reader, writer = await asyncio.open_unix_connection(str(self.folder / f"{replica}.ctl"))
        writer.write(json.dumps({"command": word, **more}).encode() + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        assert "error" not in answer, answer

    async def running_count(self) -> float:
        """Requests in all engines."""
        names = ("capstan_engine_requests_running", "capstan_engine_requests_waiting")
        return sum([await self[replica].metric(name) for replica in self.replicas for name in names])

    def journal_rows(self, gateway: str) -> int:
        """What the journal of a gateway that is down still holds."""
        with contextlib.closing(sqlite3.connect(self.folder / f"{gateway}.db")) as journal:
            count: int = journal.execute("select count(*) from journal").fetchone()[0]
        return count

    async def shut_out(self) -> float:
        """Replicas that routers have shut out, over all routers."""
        return sum([await self[router].metric("capstan_router_replica_ejected") for router in ROUTERS])

    async def placeable(self) -> None:
        """Return when every router can place on every replica."""
        async with asyncio.timeout(READY_WITHIN_S):
            for router in ROUTERS:
                while (await self[router].page("/replicas")).count(": true") != len(self.replicas):
                    await asyncio.sleep(0.05)

    async def settled(self) -> None:
        """Return when every router can place on every replica, and nothing runs."""
        await self.placeable()
        async with asyncio.timeout(READY_WITHIN_S):
            while await self.running_count():
                await asyncio.sleep(0.05)

    def prepare(self) -> None:
        """Make all processes; none is started."""
        for name in (*self.replicas, "cold"):
            more = self._engine if name in self.replicas else self._engine | {"MODEL_NAME": COLD}
            more = more | {"SIM_CONTROL": f"unix:{self.folder}/{name}.ctl"}
            self._add(name, "inference", more | {"LISTEN": f"127.0.0.1:{self._ports[name]}"})
        places = [{"id": name, "address": self._through(name)} for name in (*self.replicas, "cold")]
        for name in ROUTERS:
            said = {
                "LISTEN": f"127.0.0.1:{self._ports[name]}",
                "REPLICAS": json.dumps(places),
                "EXPECTED_MODELS": json.dumps({MODEL: "generate", COLD: "generate"}),
                "LOAD_INTERVAL_S": "0.5",
                "STALE_AFTER_S": "2",
                "STALLED_AFTER_S": "2",
                "EJECTION_LONGEST_PAUSE_S": "4",
                "DRAIN_DELAY_S": "0.3",
            }
            self._add(name, "router", said)
        routers = ",".join(self._through(name) for name in ROUTERS)
        for name in GATEWAYS:
            said = {
                f"{peer.upper()}_ADDRESS": self.peers.address(peer)
                for peer in ("auth", "ratelimit", "moderation", "billing", "jobs")
            }
            said |= {
                "ROUTER_ADDRESS": f"ipv4:{routers}",
                "HTTP_LISTEN": f"127.0.0.1:{self.doors[name]}",
                "JOURNAL_PATH": f"{self.folder}/{name}.db",
                "FIRST_TOKEN_TIMEOUT_S": "4",
                "IDLE_TIMEOUT_S": "4",
                "KEEP_ALIVE_S": "0.5",
                # The scripted peers share a process with all clients, and are late when those are many.
                "RATELIMIT_TIMEOUT_S": "5",
                "BUDGET_TIMEOUT_S": "5",
                "DRAIN_DELAY_S": "0.5",
                "GRACE_S": "20",
            }
            self._add(name, "gateway", said)

    def _through(self, name: str) -> str:
        return f"127.0.0.1:{self.proxies[name].port}"

    def _add(self, name: str, service: str, said: dict[str, str]) -> None:
        ops = self.folder / f"{name}.ops"
        said = said | {"OPS_LISTEN": f"unix:{ops}", "LOG_FORMAT": "text"}
        environment = {f"CAPSTAN_{service.upper()}_{key}": value for key, value in said.items()}
        environment |= {"PYTHONPATH": import_path(), "HOSTNAME_OVERRIDE": name}
        self.processes[name] = Process(name, f"services.{service}", environment, self.folder / f"{name}.log", ops)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Cluster]:
        """Start everything but the cold model's replica."""
        async with contextlib.AsyncExitStack() as stack:
            for name, port in self._ports.items():
                self.proxies[name] = await stack.enter_async_context(FaultProxy(port).listening())
            self.prepare()
            stack.push_async_callback(self._stop)
            await asyncio.gather(*(self[name].start() for name in (*self.replicas, *ROUTERS, *GATEWAYS)))
            await self.settled()
            yield self

    async def _stop(self) -> None:
        for process in self.processes.values():
            if process.running is not None and process.running.returncode is None:
                process.send(signal.SIGCONT)
                await process.kill()
            elif process.running is not None:
                process.sweep()


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder whose sockets' paths are short enough."""
    return tempfile.TemporaryDirectory(prefix="capf-")
