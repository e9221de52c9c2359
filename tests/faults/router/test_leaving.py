"""Clients that leave, in every way and at every time, stop what runs for them; those that read slowly cost little."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from capstan.billing.v1 import billing_pb2
from tests.faults.router.cluster import COLD, GATEWAYS, ROUTERS, Cluster
from tests.faults.router.driver import ask, check_texts
from tests.faults.router.test_overload import resident_bytes
from tests.faults.router.test_replicas import LONG

pytestmark = pytest.mark.asyncio(loop_scope="session")

FREE_WITHIN_S = 2.0 if LONG else 20.0
"""The promise, or what no busy machine exceeds: an answer that nobody stops takes more than a minute."""

TOKENS = 1000 if LONG else 4000
SLOW_READERS = 200 if LONG else 40


async def free(cluster: Cluster) -> None:
    """Return when the engines are; fail when that takes too long."""
    left_at = time.monotonic()
    while await cluster.running_count():
        assert time.monotonic() - left_at < FREE_WITHIN_S
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("abruptly", [False, True], ids=["closing", "resetting"])
async def test_clients_that_leave_in_mid_stream_free_the_engines_and_pay_for_what_was_made(
    cluster: Cluster, abruptly: bool
) -> None:
    order = random.Random(1)
    outcomes = []
    for begin in range(0, 100 if LONG else 30, 10):
        leaving = (
            ask(
                cluster,
                GATEWAYS[n % 2],
                f"Leave {begin + n}",
                max_tokens=4000,
                leave_after=order.randint(1, 12),
                abruptly=abruptly,
            )
            for n in range(10)
        )
        outcomes += await asyncio.gather(*leaving)
        await free(cluster)
    events = cluster.peers.billing.events
    async with asyncio.timeout(20):
        while any(outcome.request_id not in events for outcome in outcomes):
            await asyncio.sleep(0.05)
    billed = [events[outcome.request_id] for outcome in outcomes]
    assert {event.outcome for event in billed} == {billing_pb2.OUTCOME_CLIENT_CLOSED}
    assert all(event.usage.completion_tokens >= 1 and not event.usage_estimated for event in billed)


@pytest.mark.parametrize("abruptly", [False, True], ids=["closing", "resetting"])
async def test_clients_that_do_not_wait_for_a_whole_answer_free_the_engines(cluster: Cluster, abruptly: bool) -> None:
    whole: dict[str, Any] = {"stream": False, "stream_options": None}
    leaving = [
        asyncio.create_task(ask(cluster, GATEWAYS[n % 2], f"Whole {n}", max_tokens=4000, abruptly=abruptly, **whole))
        for n in range(10)
    ]
    async with asyncio.timeout(10):
        while await cluster.running_count() < len(leaving):
            await asyncio.sleep(0.02)
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)
    await free(cluster)


@pytest.mark.parametrize("abruptly", [False, True], ids=["closing", "resetting"])
async def test_clients_that_leave_before_the_first_token_leave_the_queue(cluster: Cluster, abruptly: bool) -> None:
    leaving = (
        ask(cluster, GATEWAYS[n % 2], f"Cold {n}", model=COLD, leave_after=0, abruptly=abruptly) for n in range(8)
    )
    outcomes = await asyncio.gather(*leaving)
    assert all(outcome.comments == 1 and not outcome.text and not outcome.error for outcome in outcomes), outcomes
    left_at = time.monotonic()
    while sum([await cluster[router].metric("capstan_router_waiting_requests") for router in ROUTERS]):
        assert time.monotonic() - left_at < FREE_WITHIN_S
        await asyncio.sleep(0.02)


async def test_slow_readers_are_served_to_the_end_and_cost_a_gateway_little(cluster: Cluster) -> None:
    """They read nothing while their answers are made, then all of it; as many quick ones have been there before."""
    for replica in cluster.replicas:
        await cluster.command(replica, "set", tokens_per_s=400, max_running=SLOW_READERS)
    prompts = [f"Slow {n % 5}" for n in range(SLOW_READERS)]
    quick = await asyncio.gather(
        *(ask(cluster, GATEWAYS[0], prompt, max_tokens=TOKENS, leave_after_s=300) for prompt in prompts)
    )
    before, now = resident_bytes(cluster, GATEWAYS[0]), asyncio.Event()
    asking = [
        asyncio.create_task(ask(cluster, GATEWAYS[0], prompt, max_tokens=TOKENS, read_from=now, leave_after_s=600))
        for prompt in prompts
    ]
    try:
        async with asyncio.timeout(300):
            while await cluster.running_count() < SLOW_READERS:
                await asyncio.sleep(0.05)
            while await cluster.running_count():
                await asyncio.sleep(0.05)
        grown = resident_bytes(cluster, GATEWAYS[0]) - before
    finally:
        now.set()
        for replica in cluster.replicas:
            await cluster.command(replica, "set", tokens_per_s=60, max_running=16)
    outcomes = await asyncio.gather(*asking)
    assert [outcome for outcome in outcomes if not outcome.went_well] == []
    assert {outcome.completion_tokens for outcome in outcomes} == {TOKENS}
    check_texts([*quick, *outcomes])
    assert grown < SLOW_READERS * 2**19, grown
