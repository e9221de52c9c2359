"""What the largest requests cost in memory, through the real handlers of gateway and inference."""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.testing import running
from services.gateway.app import build
from services.inference.app import build as build_inference
from services.inference.settings import Settings as InferenceSettings
from tests.integration.gateway.client import Client
from tests.integration.gateway.scripted import KEY, Peers, settings

INPUTS = 2048
DIMENSIONS = 256
TEXT = "All work and no play makes Jack a dull boy. "


@pytest.fixture
async def vectors(scripted: Peers) -> AsyncIterator[Client]:
    """A client of a gateway whose one replica is a real inference service with the simulator."""
    simulator = InferenceSettings(
        model_name="vectors", engine="simulator", runner="pooling", sim_ttft_s=0, sim_embedding_dimensions=DIMENSIONS
    )
    async with running("inference", build_inference, simulator) as inference:
        scripted.router.replicas = {"replica": inference.address}
        async with running("gateway", build, settings(scripted)):
            yield Client(scripted.folder / "http.sock", KEY)


def body(encoding: str) -> dict[str, object]:
    return {"model": "vectors", "input": [TEXT] * INPUTS, "encoding_format": encoding}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_2048_embeddings_cost_a_few_times_their_answer_and_leave_nothing(vectors: Client, encoding: str) -> None:
    """Measured 3.0 to 3.2 times; the client, in the same process, holds two of them."""
    await vectors.post("/v1/embeddings", body(encoding) | {"input": TEXT})
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        answer = await vectors.post("/v1/embeddings", body(encoding))
        _, peak = tracemalloc.get_traced_memory()
        size = len(answer.body)
        assert (answer.status, answer.body.count(b'"index"')) == (200, INPUTS)
        del answer
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > INPUTS * DIMENSIONS * 4
    assert peak - before < 5 * size
    assert after - before < 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_process_does_not_grow_with_the_number_of_large_requests(vectors: Client) -> None:
    """What `tracemalloc` does not see, such as the messages of gRPC, is in the process's size."""
    sizes = []
    for _ in range(7):
        answer = await vectors.post("/v1/embeddings", body("base64"))
        assert answer.status == 200
        sizes.append(resident_bytes())
    assert sizes[-1] - sizes[1] < 10 * len(answer.body)
