"""What clients see when replicas die, freeze, stall, slow down, drain or come late."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time

import pytest

from tests.faults.router.cluster import COLD, GATEWAYS, REPLICAS, ROUTERS, Cluster
from tests.faults.router.driver import Load, ask, check_bills, check_texts

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = bool(os.environ.get("CAPSTAN_LONG_FAULTS"))
"""Set: as long and as often as the promises say, instead of a sample that fits into every run of the tests."""

SEEDS = range(5 if LONG else 1)


@pytest.mark.parametrize("seed", SEEDS)
async def test_with_a_replica_killed_again_and_again_99_percent_is_served(cluster: Cluster, seed: int) -> None:
    order = random.Random(seed)
    async with Load(cluster, per_s=8, seed=seed).running() as load:
        for _ in range(6 if LONG else 3):
            await asyncio.sleep(10 if LONG else 2)
            victim = order.choice(REPLICAS)
            await cluster[victim].kill()
            await cluster[victim].start()
    outcomes = load.outcomes()
    good = [outcome for outcome in outcomes if outcome.went_well]
    assert len(good) / len(outcomes) >= 0.99, [outcome for outcome in outcomes if not outcome.went_well]
    check_texts(outcomes)
    await check_bills(cluster, outcomes)
    assert sum([await cluster[name].metric("capstan_gateway_migrations_total") for name in GATEWAYS]) > 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_rolling_restart_of_everything_breaks_no_stream(cluster: Cluster, seed: int) -> None:
    names = [*REPLICAS, *ROUTERS, *GATEWAYS]
    random.Random(seed).shuffle(names)
    async with Load(cluster, per_s=6, seed=seed).running() as load:
        for name in names:
            assert await cluster[name].terminate() == 0
            assert name not in GATEWAYS or cluster.journal_rows(name) == 0
            await cluster[name].start()
            if name in REPLICAS:
                await cluster.placeable()
    outcomes = load.outcomes()
    assert [outcome for outcome in outcomes if not outcome.went_well] == []
    check_texts(outcomes)
    await check_bills(cluster, outcomes)


async def test_a_replica_that_freezes_costs_a_second_attempt_and_no_answer(cluster: Cluster) -> None:
    cluster["r1"].send(signal.SIGSTOP)
    try:
        outcomes = await asyncio.gather(*(ask(cluster, GATEWAYS[n % 2], f"Frozen {n}") for n in range(9)))
        assert [outcome for outcome in outcomes if not outcome.went_well] == []
    finally:
        cluster["r1"].send(signal.SIGCONT)


async def test_a_replica_that_makes_no_tokens_is_out_within_the_stated_time(cluster: Cluster) -> None:
    await cluster.command("r0", "hang")
    try:
        begin = time.monotonic()
        outcomes = await asyncio.gather(*(ask(cluster, GATEWAYS[n % 2], f"Hang {n}", max_tokens=5) for n in range(9)))
        assert [outcome for outcome in outcomes if not outcome.went_well] == []
        for router in ROUTERS:
            while not await cluster[router].metric("capstan_router_replica_ejected", 'replica_id="r0"'):
                assert time.monotonic() - begin < 10
                await asyncio.sleep(0.05)
        assert (await ask(cluster, GATEWAYS[0], "After")).took_s < 4
    finally:
        await cluster.command("r0", "resume")


async def test_a_slow_replica_gets_less_than_15_percent(cluster: Cluster) -> None:
    before = {name: await cluster[name].metric("capstan_inference_requests_total") for name in REPLICAS}
    await cluster.command("r2", "set", slowness=10)
    try:
        async with Load(cluster, per_s=25, seed=3, max_tokens=20).running() as load:
            await asyncio.sleep(20 if LONG else 6)
        counts = {name: await cluster[name].metric("capstan_inference_requests_total") for name in REPLICAS}
    finally:
        await cluster.command("r2", "set", slowness=1)
    served = {name: counts[name] - before[name] for name in REPLICAS}
    assert all(outcome.went_well for outcome in load.outcomes())
    assert served["r2"] / sum(served.values()) < 0.15, served


async def test_a_request_for_a_model_that_starts_waits_with_signs_of_life(cluster: Cluster) -> None:
    asking = [asyncio.create_task(ask(cluster, GATEWAYS[n % 2], "Cold", model=COLD)) for n in range(4)]
    await asyncio.sleep(1)
    await cluster["cold"].start()
    outcomes = await asyncio.gather(*asking)
    assert all(outcome.went_well and outcome.comments for outcome in outcomes), outcomes
    await cluster["cold"].kill()


async def test_a_poisoned_request_takes_two_replicas_and_never_the_third(cluster: Cluster) -> None:
    first = await ask(cluster, GATEWAYS[0], "please die now")
    assert not first.went_well
    async with asyncio.timeout(20):
        while sum(cluster[name].lives for name in REPLICAS) > 1:
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # by then the third would be gone as well, and what became of the others is known
    dead = [name for name in REPLICAS if not cluster[name].lives]
    assert len(dead) == 2
    again = await asyncio.gather(*(ask(cluster, GATEWAYS[0], "please die now") for _ in range(3)))
    assert {outcome.status for outcome in again} == {400}
    assert (await ask(cluster, GATEWAYS[1], "And the others are served")).went_well
    assert [name for name in REPLICAS if not cluster[name].lives] == dead
    await asyncio.gather(*(cluster[name].start() for name in dead))


async def test_more_than_there_is_room_for_waits_or_is_refused_and_soon_all_is_well(cluster: Cluster) -> None:
    herd = [asyncio.create_task(ask(cluster, GATEWAYS[n % 2], f"Herd {n % 7}", max_tokens=60)) for n in range(300)]
    await asyncio.sleep(2)
    async with Load(cluster, per_s=8, seed=5).running() as load:
        await asyncio.sleep(8)
    outcomes = await asyncio.gather(*herd)
    assert {outcome.status for outcome in outcomes} <= {200, 503}
    refused = [outcome.error for outcome in outcomes if not outcome.went_well]
    assert set(refused) <= {"server_is_overloaded"}  # as a status or, once the head had left, as an event
    assert len(refused) < 30
    late = [outcome for outcome in load.outcomes() if outcome.started_at > load.outcomes()[0].started_at + 4]
    assert sum(outcome.went_well for outcome in late) / len(late) >= 0.8
    check_texts([*outcomes, *load.outcomes()])
