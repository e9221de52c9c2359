"""What clients see when routers die or disagree, and when what they know is wrong."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.router.cluster import GATEWAYS, ROUTERS, Cluster
from tests.faults.router.driver import Load, ask, check_bills, check_texts

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_one_router_is_enough_and_without_any_the_last_known_replicas_serve(cluster: Cluster) -> None:
    async with Load(cluster, per_s=8, seed=1).running() as load:
        await asyncio.sleep(1)
        await cluster[ROUTERS[0]].kill()
        await asyncio.sleep(1)
        await cluster[ROUTERS[1]].kill()
        await asyncio.sleep(2)
        await asyncio.gather(*(cluster[name].start() for name in ROUTERS))
    outcomes = load.outcomes()
    assert [outcome for outcome in outcomes if not outcome.went_well] == []
    check_texts(outcomes)
    await check_bills(cluster, outcomes)


async def test_routers_that_answer_nothing_cost_a_moment_and_no_answer(cluster: Cluster) -> None:
    await asyncio.gather(*(ask(cluster, gateway, "Before") for gateway in GATEWAYS))
    for name in ROUTERS:
        cluster.proxies[name].turn("blackhole")
    outcomes = await asyncio.gather(*(ask(cluster, GATEWAYS[n % 2], f"Silent {n}") for n in range(8)))
    assert [outcome for outcome in outcomes if not outcome.went_well] == []


@pytest.mark.parametrize("mode", ["refuse", "cut"])
async def test_a_replica_that_cannot_be_reached_any_more_costs_a_second_attempt(cluster: Cluster, mode: str) -> None:
    cluster.proxies["r0"].turn(mode)  # type: ignore[arg-type]
    outcomes = await asyncio.gather(*(ask(cluster, GATEWAYS[n % 2], f"Gone {n}") for n in range(9)))
    assert [outcome for outcome in outcomes if not outcome.went_well] == []


async def test_a_router_cut_off_from_a_replica_does_not_keep_the_other_from_it(cluster: Cluster) -> None:
    cluster.proxies["r0"].turn("half")
    async with Load(cluster, per_s=8, seed=2).running() as load:
        await asyncio.sleep(3)
        cluster.proxies["r0"].turn("pass")
        await asyncio.sleep(1)
    outcomes = load.outcomes()
    assert [outcome for outcome in outcomes if not outcome.went_well] == []
    check_texts(outcomes)
