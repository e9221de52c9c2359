"""Whoever dies, every completed request is billed once, what was cut short is billed by what was made, nothing drifts.

Rows B1, B6, B9, G1, P1 and P2 of the fault matrix. All draws are seeded.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

from services.billing.settings import PACKAGED_PRICE_BOOK
from tests.contract.suite import until
from tests.faults.billing.conftest import TOKENS_PER_S, Books
from tests.faults.billing.driver import Seen
from tools.local.launch import ROOT, import_path
from tools.local.layout import Layout
from tools.local.state import Phase

SEED = 20261123


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


def test_a_killed_gateways_open_streams_are_billed_by_what_was_made(metered: Books) -> None:
    """G1: 50 streams, SIGKILL when all have tokens."""
    before = metered.suite.stack.unit("gateway")

    async def broken() -> list[Seen]:
        running: Counter[int] = Counter()
        tasks = [
            asyncio.create_task(
                metered.driver.chat(max_tokens=2000, on_token=lambda number=number: running.update([number]))
            )
            for number in range(50)
        ]
        short = [asyncio.create_task(metered.driver.chat(max_tokens=5)) for _ in range(5)]
        async with asyncio.timeout(60):
            while len(running) < 50 or min(running.values()) < TOKENS_PER_S:
                await asyncio.sleep(0.02)
        os.kill(before.pid, SIGKILL)
        return list(await asyncio.gather(*tasks, *short))

    seen = asyncio.run(broken())
    assert sum(not one.completed for one in seen) == 50
    metered.suite.stack.until(
        lambda told: told.unit("gateway").phase is Phase.READY and told.unit("gateway").pid not in {0, before.pid}
    )
    events = metered.settled(seen)
    for one in seen:
        if not one.completed:
            outcome, prompt, completion = events[one.request_id]
            assert outcome == "recovered"
            assert prompt > 0
            # No less than the client got but for a second, and no more than the engine can have made meanwhile.
            assert one.tokens - TOKENS_PER_S <= completion <= one.tokens + 5 * TOKENS_PER_S
    until(lambda: metered.suite.metric("inference-chat", "capstan_engine_requests_running") == 0)


def test_billing_that_dies_every_two_seconds_gets_every_event_once(metered: Books) -> None:
    """B1: requests go on, events gather, nothing is lost or doubled."""

    async def driven() -> list[Seen]:
        driving = asyncio.create_task(load(metered, 6.0, 12, SEED))
        for _ in range(3):
            await asyncio.sleep(1.5)
            os.kill(metered.suite.stack.unit("billing").pid, SIGKILL)
        return await driving

    seen = asyncio.run(driven())
    assert {one.status for one in seen} == {200}
    assert all(one.completed for one in seen)
    metered.suite.stack.until(lambda told: told.unit("billing").phase is Phase.READY)
    metered.settled(seen)


def test_a_frozen_and_a_killed_database_change_nothing_for_clients(metered: Books) -> None:
    """P1 and P2: PostgreSQL frozen for three seconds, then killed."""

    async def driven() -> list[Seen]:
        driving = asyncio.create_task(load(metered, 7.0, 8, SEED + 1))
        await asyncio.sleep(1.0)
        with frozen(metered.suite.stack.unit("postgres").pid):
            await asyncio.sleep(3.0)
        os.kill(metered.suite.stack.unit("postgres").pid, SIGKILL)
        return await driving

    seen = asyncio.run(driven())
    assert {one.status for one in seen} == {200}
    metered.suite.stack.until(lambda told: all(unit.phase in (Phase.READY, Phase.DONE) for unit in told.units))
    metered.settled(seen)


def test_a_full_disk_closes_paid_work_and_space_opens_it_again(metered: Books) -> None:
    """B6: nothing is served unbilled while the journal cannot grow."""
    pid = metered.suite.stack.unit("gateway").pid
    kept = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, kept[1]))
        refused = asyncio.run(load(metered, 1.0, 4, SEED + 2))
        free = metered.suite.get("/v1/models")
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, kept)
    assert {(one.status, one.code) for one in refused} == {(503, "metering_unavailable")}
    assert free.status == 200

    def served() -> bool:
        return asyncio.run(metered.driver.chat(max_tokens=1)).completed

    until(served, every_s=0.2)
    seen = asyncio.run(load(metered, 1.0, 4, SEED + 3))
    assert {one.status for one in seen} == {200}
    metered.settled(seen)


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
