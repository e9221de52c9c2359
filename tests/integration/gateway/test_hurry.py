"""What clients hear of a gateway that is told twice to stop, or whose grace is over."""

import asyncio
import json

import pytest

from capstan.billing.v1 import billing_pb2
from chassis.testing import running
from services.gateway.app import build
from tests.integration.gateway.client import Client, error, eventually
from tests.integration.gateway.scripted import KEY, Peers, settings

CHAT = "/v1/chat/completions"
ASK = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize("signals", [1, 2], ids=["the grace is over", "told twice"])
async def test_who_waits_for_an_answer_is_told_that_the_gateway_stops(scripted: Peers, signals: int) -> None:
    scripted.inference.after = "hang"
    async with running("gateway", build, settings(scripted, grace_s=1.0 if signals == 1 else 60.0)) as service:
        client = Client(scripted.folder / "http.sock", KEY)
        heard = bytearray()
        streamed = asyncio.create_task(client.post(CHAT, ASK | {"stream": True}, heard=heard))
        whole = asyncio.create_task(client.post(CHAT, ASK))
        await eventually(lambda: len(scripted.inference.started) == 2 and b"Hello" in heard)
        for _ in range(signals):
            service.stop.ask()
        events = (await streamed).body.decode().strip().split("\n\n")
        assert "Hello" in events[0] + events[1]
        assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "server_shutdown"
        answer = await whole
        assert (error(answer)[0], error(answer)[3]) == (503, "server_shutdown")
        assert int(answer.headers["retry-after"]) >= 2
    assert {event.outcome for event in scripted.billing.events.values()} == {billing_pb2.OUTCOME_TRUNCATED}
    assert len(scripted.billing.events) == 2
