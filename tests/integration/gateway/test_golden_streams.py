"""Streams to the byte: a real engine (the simulator), the real inference service and the real gateway.

The files in `golden` are what clients have been getting; a change of one is a change for every client. To write them
anew: `CAPSTAN_WRITE_GOLDEN=1 pytest tests/integration/gateway/test_golden_streams.py`, and read the difference.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chassis.clock import ManualClock, SystemClock
from chassis.ids import SequentialIds
from chassis.testing import running
from services.gateway.app import build
from services.inference.app import build as build_inference
from services.inference.settings import Settings as InferenceSettings
from tests.integration.gateway.client import Client
from tests.integration.gateway.scripted import KEY, MODEL, Peers, settings

GOLDEN = Path(__file__).parent / "golden"
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
USER = {"role": "user", "content": "Say something, 日本 too."}
STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, {"messages": [USER], "max_tokens": 8}),
    "chat_usage": (CHAT, {"messages": [USER], "max_tokens": 4, "stream_options": {"include_usage": True}}),
    "chat_logprobs": (CHAT, {"messages": [USER], "max_tokens": 3, "logprobs": True, "top_logprobs": 2}),
    "chat_stop": (CHAT, {"messages": [USER], "max_tokens": 64, "stop": ["e"]}),
    "text": (TEXT, {"prompt": "Once", "max_tokens": 6}),
    "text_logprobs": (TEXT, {"prompt": "Once", "max_tokens": 3, "logprobs": 2, "echo": True}),
}


class OneMoment(SystemClock):
    """Always the same date; what waits waits as ever."""

    def now(self) -> float:
        return ManualClock().now()


@pytest.fixture
async def simulated(scripted: Peers) -> AsyncIterator[Client]:
    """Everything that decides about a byte is real or stands still: time, ids, seed."""
    simulator = InferenceSettings(
        model_name=MODEL, engine="simulator", sim_tokens_per_s=200, sim_ttft_s=0, sim_answer_tokens=100
    )
    async with (
        running("inference", build_inference, simulator) as replica,
        running("gateway", build, settings(scripted), clock=OneMoment(), ids=SequentialIds()),
    ):
        scripted.router.replicas = {"simulator": replica.address}
        yield Client(scripted.folder / "http.sock", KEY)


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_has_the_bytes_it_always_had(simulated: Client, name: str) -> None:
    path, body = STREAMS[name]
    answer = await simulated.post(path, {"model": MODEL, "seed": 7, "stream": True} | body)
    assert answer.status == 200, answer.body
    golden = GOLDEN / f"{name}.sse"
    if os.environ.get("CAPSTAN_WRITE_GOLDEN"):
        golden.write_bytes(answer.body)
    assert answer.body.decode() == golden.read_bytes().decode()
