"""A real engine is lost in the middle of answers, and they go on on another, word for word."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.router.books import unbound_peers
from tests.faults.router.cluster import GATEWAYS, MODEL, Cluster, short_folder
from tests.faults.router.driver import ask, check_bills
from tests.integration.inference.engines import DEMO_MODEL, needs_vllm

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_vllm]

ENGINE = {
    "ENGINE": "vllm",
    "MODEL": str(DEMO_MODEL),
    "MODEL_NAME": MODEL,
    "MAX_MODEL_TOKENS": "1024",
    "MAX_RUNNING": "16",
    "CPU_THREADS": "1",
}
PROMPTS = ("Tell me a story.", "Count to 40", "Write a poem about the sea.", "Count to 30")
LOST_AT = 12
"""Events that the first client has read when the replica dies."""
ROUNDS = 4
"""An engine may have made all of its answers when the first client has read so many events: then once more."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair() -> AsyncIterator[Cluster]:
    with short_folder() as folder:
        async with (
            unbound_peers(Path(folder)) as made,
            Cluster(Path(folder), made, replicas=("r0", "r1"), engine=ENGINE).running() as cluster,
        ):
            yield cluster


async def test_answers_of_a_lost_engine_go_on_on_the_other_word_for_word(pair: Cluster) -> None:
    whole = {prompt: await ask(pair, GATEWAYS[0], prompt, max_tokens=120) for prompt in PROMPTS}
    assert all(outcome.went_well and outcome.completion_tokens > LOST_AT for outcome in whole.values()), whole
    running = {name: await pair[name].metric("capstan_inference_requests_total") for name in pair.replicas}
    victim = max(running, key=lambda name: running[name])

    def seen(events: int) -> None:
        if events == LOST_AT:
            pair[victim].send(signal.SIGKILL)

    for _ in range(ROUNDS):
        outcomes = await asyncio.gather(
            *(ask(pair, GATEWAYS[0], prompt, max_tokens=120, seen=seen) for prompt in PROMPTS for _ in range(2))
        )
        assert [outcome for outcome in outcomes if not outcome.went_well] == []
        assert all(outcome.text == whole[outcome.prompt].text for outcome in outcomes)
        assert all(outcome.completion_tokens == whole[outcome.prompt].completion_tokens for outcome in outcomes)
        await check_bills(pair, outcomes)
        if await pair[GATEWAYS[0]].metric("capstan_gateway_migrations_total"):
            return
        await pair[victim].kill()
        await pair[victim].start()
        await pair.placeable()
    pytest.fail(f"in none of {ROUNDS} rounds was the engine lost before it had made all of its answers")
