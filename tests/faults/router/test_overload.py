"""What clients see when more comes than can be served: all that can be is, and quiet neighbours do not wait."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.router.cluster import GATEWAYS, REPLICAS, ROUTERS, STEADY, Cluster
from tests.faults.router.driver import Load, ask, check_texts
from tests.faults.router.test_replicas import LONG
from tests.integration.gateway.scripted import STRANGER, principal

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLOTS = 2
TOKENS = 60
PATIENCE = 0.5 if LONG else 0.75
"""Share of the others' wait that a quiet organisation may wait."""

GOODPUT = 0.8 if LONG else 0.5
"""Share of the capacity that must be served: the promise, or what tells overload from collapse on a busy machine, where
refusing takes the engines' own processors."""

MOST_PER_S = len(REPLICAS) * SLOTS * float(STEADY["SIM_TOKENS_PER_S"]) / TOKENS


@pytest_asyncio.fixture(loop_scope="session")
async def small(cluster: Cluster) -> AsyncIterator[Cluster]:
    """The cluster with a capacity that one machine can exceed threefold."""
    for replica in REPLICAS:
        await cluster.command(replica, "set", max_running=SLOTS)
    yield cluster
    for replica in REPLICAS:
        await cluster.command(replica, "set", max_running=int(STEADY["MAX_RUNNING"]))


async def served_per_s(cluster: Cluster, for_s: float) -> float:
    """What as many clients get who wait for each other: the capacity, on this machine, now."""
    until = time.monotonic() + for_s
    counts = 0

    async def keep_asking(number: int) -> None:
        nonlocal counts
        while time.monotonic() < until:
            outcome = await ask(cluster, GATEWAYS[number % 2], f"Herd {number % 7}", max_tokens=TOKENS)
            counts += outcome.went_well and time.monotonic() <= until

    await asyncio.gather(*(keep_asking(number) for number in range(2 * SLOTS * len(REPLICAS))))
    return counts / for_s


def resident_bytes(cluster: Cluster, name: str) -> int:
    process = cluster[name].running
    assert process is not None
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_under_three_times_its_capacity_it_serves_its_capacity_and_the_quiet_do_not_wait(small: Cluster) -> None:
    """A herd that comes back within a second, then three times the capacity; another organisation asks now and then."""
    quiet = principal()
    quiet.organization_id = "org-quiet"
    quiet.ClearField("rate_limits")
    small.peers.auth.others[STRANGER] = quiet
    names = (*GATEWAYS, *ROUTERS)
    before = {name: (small[name].starts, resident_bytes(small, name)) for name in names}
    capacity_per_s = await served_per_s(small, 10 if LONG else 4)
    herd = [asyncio.create_task(ask(small, GATEWAYS[n % 2], f"Herd {n % 7}", max_tokens=TOKENS)) for n in range(100)]
    async with (
        Load(small, per_s=3 * MOST_PER_S, seed=1, max_tokens=TOKENS).running() as load,
        Load(small, per_s=1, seed=2, max_tokens=TOKENS, key=STRANGER).running() as neighbour,
    ):
        await asyncio.sleep(10 if LONG else 5)
        steady_from = time.monotonic()
        await asyncio.sleep(20 if LONG else 6)
        steady_to = time.monotonic()
        for replica in REPLICAS:  # so that what waits is soon served
            await small.command(replica, "set", max_running=int(STEADY["MAX_RUNNING"]))
    outcomes = [*load.outcomes(), *await asyncio.gather(*herd)]
    assert {outcome.status for outcome in outcomes} <= {200, 503}
    refused = [outcome for outcome in outcomes if not outcome.went_well]
    assert {outcome.error for outcome in refused} <= {"server_is_overloaded"}
    assert all(outcome.retry_after_s >= 2 for outcome in refused if outcome.status == 503)
    good = [outcome for outcome in outcomes if outcome.went_well]
    steady = [outcome for outcome in good if steady_from < outcome.started_at + outcome.took_s <= steady_to]
    served = len(steady) / (steady_to - steady_from)
    assert served >= GOODPUT * capacity_per_s, (served, capacity_per_s)
    assert not LONG or all(outcome.first_byte_s < 10 for outcome in outcomes)
    assert all(outcome.went_well for outcome in neighbour.outcomes())
    theirs, others = (
        statistics.median(outcome.first_event_s for outcome in some) for some in (neighbour.outcomes(), steady)
    )
    assert theirs < PATIENCE * others, (theirs, others)
    for name in names:
        assert small[name].starts == before[name][0]
        assert resident_bytes(small, name) < 1.2 * before[name][1] + 2**24
    check_texts(outcomes)
