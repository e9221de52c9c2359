"""`python -m tools.bench.ingest`: usage events per second that billing records, with a PostgreSQL that syncs.

One billing process, a few gateways that each ship full batches one after the other, as the journal's shipper does.
Organisations, keys and models are drawn so that roll-ups and accounts are as hot as a busy minute makes them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import grpc

from capstan.billing.v1 import billing_pb2, billing_pb2_grpc
from capstan.usage.v1 import usage_pb2
from tools.bench.processes import sample
from tools.local.launch import ROOT, import_path
from tools.local.postgres import PostgresStore
from tools.local.stores import running

GATEWAYS = 4
BATCH = 500


def events(number: int, drawn: random.Random, organizations: int) -> list[billing_pb2.UsageEvent]:
    """Make one batch, of requests that start now."""
    made = []
    for place in range(BATCH):
        organization = drawn.randrange(organizations)
        event = billing_pb2.UsageEvent(
            request_id=f"req_{number:016x}{place:016x}",
            organization_id=f"org-{organization}",
            project_id=f"proj_{organization}",
            key_id=f"key_{drawn.randrange(3)}",
            owner_id="user-1",
            model=f"model-{drawn.randrange(4)}",
            endpoint=billing_pb2.ENDPOINT_CHAT_COMPLETIONS,
            outcome=billing_pb2.OUTCOME_OK,
            usage=usage_pb2.TokenUsage(prompt_tokens=drawn.randrange(2000), completion_tokens=drawn.randrange(500)),
        )
        event.start_time.GetCurrentTime()
        event.finish_time.GetCurrentTime()
        made.append(event)
    return made


async def ship(address: str, seconds: float, organizations: int) -> tuple[int, float]:
    """Deliver for so long; answer events recorded and seconds taken."""
    recorded = 0
    numbers = iter(range(1 << 40))
    async with grpc.aio.insecure_channel(address) as channel:
        stub = billing_pb2_grpc.BillingServiceStub(channel)
        await channel.channel_ready()

        async def gateway(seed: int, until: float) -> None:
            nonlocal recorded
            drawn = random.Random(seed)  # noqa: S311 - a workload, no secret
            while time.monotonic() < until:
                request = billing_pb2.IngestRequest(events=events(next(numbers), drawn, organizations))
                answer = await stub.Ingest(request, timeout=10)
                recorded += sum(r.status == billing_pb2.RECEIPT_STATUS_RECORDED for r in answer.receipts)

        begin = time.monotonic()
        await asyncio.gather(*(gateway(seed, begin + seconds) for seed in range(GATEWAYS)))
        return recorded, time.monotonic() - begin


def postmaster(folder: Path) -> int:
    """Find the process of the PostgreSQL in `folder`, whose children serve connections."""
    return int((folder / "pg" / "postmaster.pid").read_text().splitlines()[0])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print one line; exit status 1 when the books are not sound afterwards."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.ingest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the window (default 10)")
    parser.add_argument("--organizations", type=int, default=20, help="1: every event is the same one's (default 20)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="capstan-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        store = PostgresStore(folder / "pg", folder / "sockets")
        address = f"unix:{folder}/billing.sock"
        environment = dict(os.environ) | {
            "PYTHONPATH": import_path(),
            "CAPSTAN_BILLING_DSN": store.dsn(),
            "CAPSTAN_BILLING_LISTEN": address,
            "CAPSTAN_BILLING_OPS_LISTEN": f"unix:{folder}/ops.sock",
        }
        command = [sys.executable, "-m", "services.billing"]
        with running(store, folder / "postgres.log"):
            subprocess.run([*command, "migrate"], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
            service = subprocess.Popen(
                [*command, "serve"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                pids = {"billing": service.pid, "postgres": postmaster(folder)}
                before = sample(pids)
                recorded, seconds = asyncio.run(ship(address, args.seconds, args.organizations))
                used = sample(pids).since(before)
            finally:
                service.terminate()
                service.wait(30)
            cpu_us = {name: 1e6 * spent / max(1, recorded) for name, spent in used.items()}
            print(
                f"{recorded / seconds:,.0f} events/s recorded ({recorded:,} in {seconds:.1f} s, {GATEWAYS} gateways, "
                f"batches of {BATCH}); CPU per event: billing {cpu_us['billing']:.0f} us, postgres "
                f"{cpu_us['postgres']:.0f} us, so one core alone has room for {1e6 / sum(cpu_us.values()):,.0f}/s; "
                f"load average {os.getloadavg()[0]:.1f}"
            )
            return subprocess.run([*command, "verify"], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
