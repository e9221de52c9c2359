"""Whoever dies, every completed request is billed once, what was cut short is billed by what was made, nothing drifts.

Rows B1, B3, B6, B9, G1, P1 and P2 of the fault matrix, in short; in full, with five seeds, where CAPSTAN_LONG_FAULTS is
set. All draws are seeded, and each test ends with all invariants of the books.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import pytest

from capstan.billing.v1 import billing_pb2, billing_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.rpc_client import call, connect
from services.billing.settings import PACKAGED_PRICE_BOOK
from tests.contract.suite import until
from tests.faults.billing.conftest import LONG, SEEDS, TOKENS_PER_S, Books
from tests.faults.billing.driver import Seen
from tools.local.launch import ROOT, import_path
from tools.local.layout import Layout
from tools.local.state import Phase

EVENT_COLUMNS = """request_id, organization_id, project_id, key_id, owner_id, model, endpoint, outcome, start_time,
    finish_time, prompt_tokens, cached_prompt_tokens, completion_tokens, reasoning_tokens"""


async def load(books: Books, seconds: float, clients: int, seed: int) -> list[Seen]:
    """Clients that ask one thing after another, streamed and whole, for so long."""
    end = asyncio.get_running_loop().time() + seconds
    seen: list[Seen] = []

    async def client(number: int) -> None:
        drawn = random.Random(seed * 1000 + number)
        while asyncio.get_running_loop().time() < end:
            one = await books.driver.chat(stream=drawn.random() < 0.7, max_tokens=drawn.randint(1, 20))
            seen.append(one)
            if not one.completed:
                await asyncio.sleep(0.05)

    await asyncio.gather(*(client(number) for number in range(clients)))
    return seen


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_gateways_open_streams_are_billed_by_what_was_made(metered: Books, seed: int) -> None:
    """G1: 50 streams, SIGKILL when all have tokens."""
    before = metered.suite.stack.unit("gateway")

    async def broken() -> list[Seen]:
        drawn = random.Random(seed)
        short = [asyncio.create_task(metered.driver.chat(max_tokens=5)) for _ in range(5)]
        tasks = await metered.driver.speaking(50, TOKENS_PER_S, max_tokens=2000)
        whole = await asyncio.gather(*short)
        await asyncio.sleep(drawn.random())
        os.kill(before.pid, SIGKILL)
        return whole + await asyncio.gather(*tasks)

    seen = asyncio.run(broken())
    metered.suite.stack.replaced("gateway", before.pid)
    assert [one.completed for one in seen] == [True] * 5 + [False] * 50
    events = metered.settled(seen)
    for one in seen:
        if not one.completed:
            outcome, prompt, completion = events[one.request_id]
            assert outcome == "recovered"
            assert prompt > 0
            # No less than the client got but for a second, and no more than the engine can have made meanwhile.
            assert one.tokens - TOKENS_PER_S <= completion <= one.tokens + 5 * TOKENS_PER_S
    until(lambda: metered.suite.metric("inference-chat", "capstan_engine_requests_running") == 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_billing_that_dies_again_and_again_gets_every_event_once(metered: Books, seed: int) -> None:
    """B1: every 5 s for 60 s, or in short; requests go on, events gather, nothing is lost or doubled."""
    seconds, every_s = (60.0, 5.0) if LONG else (6.0, 1.5)

    async def driven() -> list[Seen]:
        driving = asyncio.create_task(load(metered, seconds, 12, seed))
        for _ in range(int(seconds / every_s) - 1):
            await asyncio.sleep(every_s)
            with suppress(ProcessLookupError):  # it may not be back yet
                if (pid := metered.suite.stack.unit("billing").pid) > 0:
                    os.kill(pid, SIGKILL)
        return await driving

    seen = asyncio.run(driven())
    assert {one.status for one in seen} == {200}
    assert all(one.completed for one in seen)
    metered.suite.stack.until(lambda told: told.unit("billing").phase is Phase.READY)
    metered.settled(seen)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_frozen_and_a_killed_database_change_nothing_for_clients(metered: Books, seed: int) -> None:
    """P1 and P2: PostgreSQL away for 60 s, or in short, and then killed."""
    away_s = 60.0 if LONG else 3.0

    async def driven() -> list[Seen]:
        driving = asyncio.create_task(load(metered, away_s + 4.0, 8, seed + 100))
        await asyncio.sleep(1.0)
        with frozen(metered.suite.stack.unit("postgres").pid):
            await asyncio.sleep(away_s)
        os.kill(metered.suite.stack.unit("postgres").pid, SIGKILL)
        return await driving

    seen = asyncio.run(driven())
    assert {one.status for one in seen} == {200}
    metered.suite.stack.until(lambda told: all(unit.phase in (Phase.READY, Phase.DONE) for unit in told.units))
    metered.settled(seen)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_full_disk_closes_paid_work_and_space_opens_it_again(metered: Books, seed: int) -> None:
    """B6: nothing is served unbilled while the journal cannot grow."""
    pid = metered.suite.stack.unit("gateway").pid
    kept = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, kept[1]))
        refused = asyncio.run(load(metered, 1.0, 4, seed + 200))
        free = metered.suite.get("/v1/models")
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, kept)
    assert {(one.status, one.code) for one in refused} == {(503, "metering_unavailable")}
    assert free.status == 200

    def served() -> bool:
        return asyncio.run(metered.driver.chat(max_tokens=1)).completed

    until(served, every_s=0.2)
    seen = asyncio.run(load(metered, 1.0, 4, seed + 300))
    assert {one.status for one in seen} == {200}
    metered.settled(seen)


@pytest.mark.parametrize("seed", SEEDS)
def test_events_that_come_three_times_more_in_any_order_change_nothing(metered: Books, seed: int) -> None:
    """B3: as from a gateway whose acknowledgements were lost."""
    seen = asyncio.run(load(metered, 2.0, 8, seed + 400))
    metered.settled(seen)
    owner = metered.organization_id
    before = metered.suite.account(owner)
    rows = metered.suite.query(
        f"select {EVENT_COLUMNS} from billing.usage_events where request_id = any($1)",
        [one.request_id for one in seen],
    )
    again = [_event(dict(row)) for row in rows] * 3
    random.Random(seed).shuffle(again)
    statuses = delivered(metered, again)
    assert len(statuses) == 3 * len(rows) > 0
    assert set(statuses) == {billing_pb2.RECEIPT_STATUS_DUPLICATE}
    assert metered.suite.account(owner) == before
    metered.verify()


def delivered(books: Books, events: Sequence[billing_pb2.UsageEvent]) -> list[int]:
    """Hand events to billing as a gateway does, some at a time; answer what became of each."""

    async def deliver() -> list[int]:
        async with connect(books.suite.stack.address("billing")) as channel:
            stub = billing_pb2_grpc.BillingServiceStub(channel)
            batches = [
                billing_pb2.IngestRequest(events=events[start : start + 7]) for start in range(0, len(events), 7)
            ]
            answers = await asyncio.gather(
                *(call(stub.Ingest, batch, timeout_s=30, peer="billing") for batch in batches)
            )
            return [receipt.status for answer in answers for receipt in answer.receipts]

    return asyncio.run(deliver())


def _event(fields: dict[str, Any]) -> billing_pb2.UsageEvent:
    usage = {
        name: fields.pop(name)
        for name in ("prompt_tokens", "cached_prompt_tokens", "completion_tokens", "reasoning_tokens")
    }
    fields["endpoint"] = billing_pb2.Endpoint.Value(f"ENDPOINT_{fields['endpoint'].upper()}")
    fields["outcome"] = billing_pb2.Outcome.Value(f"OUTCOME_{fields['outcome'].upper()}")
    return billing_pb2.UsageEvent(**fields, usage=usage_pb2.TokenUsage(**usage))


def test_a_price_that_changes_in_mid_request_is_the_old_one_for_it(metered: Books, tmp_path: Path) -> None:
    """B9: what was admitted at a version is billed at it, what comes after at the new one."""
    book = json.loads(PACKAGED_PRICE_BOOK.read_text())
    rates = {"input_picousd": 150_000, "cached_input_picousd": 150_000, "output_picousd": 9_000_000}
    published = max(version["version"] for version in book["versions"]) + 1

    async def changed() -> list[Seen]:
        begun = asyncio.Event()
        driving = asyncio.create_task(metered.driver.chat(max_tokens=120, on_token=begun.set))
        await begun.wait()
        # In force since long ago: by time alone the running request would be priced anew.
        book["versions"].append(
            {"version": published, "effective_time": "2020-01-02T00:00:00Z", "prices": {"*": rates}}
        )
        file = tmp_path / "prices.json"
        file.write_text(json.dumps(book))
        dsn = Layout(metered.suite.stack.plan, metered.suite.stack.folder).postgres.dsn()
        environment = dict(os.environ) | {
            "PYTHONPATH": import_path(),
            "CAPSTAN_BILLING_DSN": dsn,
            "CAPSTAN_BILLING_PRICE_BOOK": str(file),
        }
        command = [sys.executable, "-m", "services.billing", "migrate"]
        await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=environment, check=True, capture_output=True)
        return [await driving]

    (old,) = asyncio.run(changed())
    assert old.completed
    metered.settled([old])

    def version_of(one: Seen) -> int:
        (row,) = metered.suite.query(
            "select price_version from billing.usage_events where request_id = $1", one.request_id
        )
        found: int = row[0]
        return found

    assert version_of(old) < published


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze a process and its children, as PostgreSQL has."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    everyone = [pid, *map(int, children)]
    for one in everyone:
        os.kill(one, SIGSTOP)
    try:
        yield
    finally:
        for one in everyone:
            try:
                os.kill(one, SIGCONT)
            except ProcessLookupError:
                continue
