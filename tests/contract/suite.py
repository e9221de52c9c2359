"""The running suite from outside: its HTTP port byte by byte, its operations ports, its books."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import grpc
from prometheus_client.parser import text_string_to_metric_families

from capstan.billing.v1 import billing_pb2, billing_pb2_grpc
from services.billing.reconciler import TOLERATED_DRIFT
from tests.contract.told import Told
from tests.stack import Stack
from tools.local.launch import ROOT, import_path
from tools.local.layout import Layout
from tools.local.roster import DEMO_MODEL
from tools.local.state import Phase

PATIENCE_S = 60.0
UNSEEN = re.compile(r"^I\d+ +\?", re.MULTILINE)
"""An invariant that nobody could look at."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """What the envelope holds; fails when it is none."""
        document = json.loads(self.body)
        assert set(document) == {"error"}, document
        error: dict[str, Any] = document["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str)
        assert error["message"]
        assert isinstance(error["type"], str)
        assert isinstance(error["param"], str | None)
        assert isinstance(error["code"], str | None)
        return error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Suite:
    """What the SDK cannot say or see."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.told = Told(stack.folder.root / "told.jsonl")
        self._hosts = {False: urlsplit(stack.base_url), True: urlsplit(stack.admin_url)}
        self._host = self._hosts[False]

    def post(self, path: str, body: bytes | object, **options: Any) -> Answer:
        """Send a body as it is, or as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, raw, **options)

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, None, **options)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        *,
        headers: Mapping[str, str] | None = None,
        key: str = "",
        admin: bool = False,
    ) -> Answer:
        """Make one request on a connection of its own, to the API or the admin API. Raises `OSError` when nobody
        listens.
        """
        key = key or (self.stack.admin_key if admin else self.stack.api_key)
        said = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        host = self._hosts[admin]
        connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, said | dict(headers or {}))
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )

    def send(self, raw: bytes) -> bytes:
        """Send bytes that may be no HTTP and answer all that comes back until the server closes."""
        with socket.create_connection((self._host.hostname or "", self._host.port), timeout=PATIENCE_S) as connection:
            connection.sendall(raw)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while more := connection.recv(65536):
                    received += more
        return received

    def metric(self, service: str, name: str, **labels: str) -> float:
        """Read one sample of a service's metrics, summed over the labels that are not given; 0 when there is none."""
        with contextlib.closing(_UnixConnection(self.stack.ops_socket(service), PATIENCE_S)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def account(self, organization_id: str) -> billing_pb2.GetAccountResponse:
        """Ask billing what an organisation owes."""
        request = billing_pb2.GetAccountRequest(organization_id=organization_id)
        with self._billing() as stub:
            return stub.GetAccount(request, timeout=PATIENCE_S, wait_for_ready=True)

    def ingest(self, *events: billing_pb2.UsageEvent) -> list[billing_pb2.Receipt]:
        """Tell billing of usage, as a gateway would."""
        request = billing_pb2.IngestRequest(events=events)
        with self._billing() as stub:
            return list(stub.Ingest(request, timeout=PATIENCE_S, wait_for_ready=True).receipts)

    def prices(self) -> dict[str, billing_pb2.Price]:
        """Ask billing for the prices in force, by model."""
        with self._billing() as stub:
            response = stub.ListPrices(billing_pb2.ListPricesRequest(), timeout=PATIENCE_S, wait_for_ready=True)
        return {price.model: price for price in response.prices}

    def query(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Run a statement in the suite's database, as an operator would."""

        async def ask() -> list[asyncpg.Record]:
            database = await asyncpg.connect(self._dsn())
            try:
                return await database.fetch(statement, *arguments)
            finally:
                await database.close()

        return asyncio.run(ask())

    def billed(self, request_ids: Sequence[str]) -> dict[str, str]:
        """Look into billing's books: of these requests the recorded ones, and how they ended."""
        rows = self.query(
            "select request_id, outcome from billing.usage_events where request_id = any($1)", request_ids
        )
        return {row["request_id"]: row["outcome"] for row in rows}

    def verify_books(self, grace_s: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Run `capstan billing verify`, with what clients were told; what engines told of for less than `grace_s` may
        lack its event.
        """
        command = ["billing", "verify", "--told", str(self.told.path), "--data-dir", str(self.stack.folder.root)]
        return subprocess.run(
            [sys.executable, "-m", "tools.cli", *command],
            cwd=ROOT,
            env=self._environment() | {"CAPSTAN_BILLING_RECOVERY_GRACE_S": str(grace_s)},
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE_S,  # three processes one after the other, and this machine may have much else to do
            check=False,
        )

    def operate(self, *arguments: str) -> dict[str, Any]:
        """Run `capstan billing …` and answer what it tells programs."""
        place = ("--json", "--data-dir", str(self.stack.folder.root))
        done = subprocess.run(
            [sys.executable, "-m", "tools.cli", "billing", *arguments, *place],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def sound_books(self, patience_s: float = 30.0) -> str:
        """See the check pass, with every invariant looked at, once engines and gateways have told everything, and the
        engine's own counter agree; answer what was printed.
        """
        last = self.verify_books(grace_s=1.0)
        deadline = time.monotonic() + patience_s
        while (last.returncode or UNSEEN.search(last.stdout)) and time.monotonic() < deadline:
            time.sleep(0.5)
            last = self.verify_books(grace_s=1.0)
        assert last.returncode == 0, last.stdout + last.stderr
        assert not UNSEEN.search(last.stdout), last.stdout + last.stderr
        until(lambda: abs(self.metric("inference-chat", "capstan_inference_drift_ratio")) <= TOLERATED_DRIFT)
        return last.stdout

    def _environment(self) -> dict[str, str]:
        """What commands are to be run with, to be set like the services."""
        return dict(os.environ) | self.stack.plan.environment | {"PYTHONPATH": import_path()}

    @contextlib.contextmanager
    def _billing(self) -> Iterator[billing_pb2_grpc.BillingServiceStub]:
        with grpc.insecure_channel(self.stack.address("billing")) as channel:
            yield billing_pb2_grpc.BillingServiceStub(channel)

    def _dsn(self) -> str:
        return Layout(self.stack.plan, self.stack.folder).postgres.dsn()

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[None]:
        """SIGKILL the process `name`; the block begins when it is gone, and ends with all of the suite well again."""
        before = self.stack.unit(name)
        assert before.phase is Phase.READY, before
        self.stack.send(name, SIGKILL)
        try:
            self.stack.until(lambda told: told.unit(name).pid != before.pid)
            yield
        finally:
            self.stack.until(lambda told: all(unit.phase in (Phase.READY, Phase.DONE) for unit in told.units))


def endless(model: str, **more: Any) -> dict[str, Any]:
    """A request that goes on for many seconds: the token that ends an answer is forbidden."""
    end = json.loads((DEMO_MODEL / "generation_config.json").read_text())["eos_token_id"]
    story = [{"role": "user", "content": "Tell me a story."}]
    bias = {str(end): -100}
    return {"model": model, "messages": story, "n": 8, "max_tokens": 1900, "logit_bias": bias} | more


def until(holds: Callable[[], object], patience_s: float = PATIENCE_S, every_s: float = 0.02) -> None:
    """Wait for what happens in the background."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(every_s)
