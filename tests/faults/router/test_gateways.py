"""What clients see when a gateway is told to hurry, is frozen, or has no file descriptors left."""

from __future__ import annotations

import asyncio
import resource
import signal
from pathlib import Path

import pytest

from capstan.billing.v1 import billing_pb2
from tests.faults.router.cluster import GATEWAYS, Cluster
from tests.faults.router.driver import Load, ask, check_bills, check_texts

pytestmark = pytest.mark.asyncio(loop_scope="session")

FEW_FILES = 256


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def under_way(cluster: Cluster, count: int) -> None:
    """Return when so many requests run."""
    async with asyncio.timeout(10):
        while await cluster.running_count() < count:
            await asyncio.sleep(0.02)


async def test_a_gateway_that_is_told_twice_ends_its_streams_with_an_error_and_bills_what_was_made(
    cluster: Cluster,
) -> None:
    asking = [asyncio.create_task(ask(cluster, GATEWAYS[0], f"Hurry {n}", max_tokens=4000)) for n in range(6)]
    await under_way(cluster, 6)
    await asyncio.sleep(0.5)
    cluster[GATEWAYS[0]].send(signal.SIGTERM)
    await asyncio.sleep(0.2)
    assert await cluster[GATEWAYS[0]].terminate() == 0
    outcomes = await asyncio.gather(*asking)
    await cluster[GATEWAYS[0]].start()
    assert {(outcome.status, outcome.error, outcome.done) for outcome in outcomes} == {(200, "server_shutdown", False)}
    events = cluster.peers.billing.events
    async with asyncio.timeout(10):
        while any(outcome.request_id not in events for outcome in outcomes):
            await asyncio.sleep(0.05)
    billed = [events[outcome.request_id] for outcome in outcomes]
    assert {event.outcome for event in billed} == {billing_pb2.OUTCOME_TRUNCATED}
    assert all(event.usage.completion_tokens > 0 for event in billed)


async def test_a_gateway_that_was_frozen_blames_no_replica_and_goes_on(cluster: Cluster) -> None:
    """Frozen for longer than the longest silence (4 s here) that it would bear of a replica."""
    asking = [asyncio.create_task(ask(cluster, GATEWAYS[0], f"Frozen {n}", max_tokens=400)) for n in range(6)]
    await under_way(cluster, 6)
    cluster[GATEWAYS[0]].send(signal.SIGSTOP)
    try:
        async with Load(cluster, per_s=8, seed=6, gateways=GATEWAYS[1:]).running() as others:
            await asyncio.sleep(6)
    finally:
        cluster[GATEWAYS[0]].send(signal.SIGCONT)
    outcomes = await asyncio.gather(*asking)
    assert [outcome for outcome in [*outcomes, *others.outcomes()] if not outcome.went_well] == []
    assert await cluster.shut_out() == 0
    check_texts(outcomes)
    await check_bills(cluster, outcomes)


async def test_without_file_descriptors_a_gateway_goes_on_with_what_it_has_and_recovers(cluster: Cluster) -> None:
    process = cluster[GATEWAYS[0]].running
    assert process is not None
    before, most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (FEW_FILES, most))
    idle: list[asyncio.StreamWriter] = []
    try:
        async with asyncio.timeout(20):
            asking = asyncio.create_task(ask(cluster, GATEWAYS[0], "Under way", max_tokens=200))
            await under_way(cluster, 1)
            for _ in range(400):
                idle += (await asyncio.open_connection("127.0.0.1", cluster.doors[GATEWAYS[0]]))[1:]
            while open_files(process.pid) < FEW_FILES - 8:
                await asyncio.sleep(0.02)
            assert (await asking).went_well
    finally:
        for writer in idle:
            writer.close()
    again = await ask(cluster, GATEWAYS[0], "And again")
    assert again.went_well
    assert process.returncode is None
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (before, most))
