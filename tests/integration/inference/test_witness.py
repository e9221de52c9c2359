"""A replica tells billing what it counted, whatever became of the gateway, and again when billing was away."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from capstan.errors.v1 import errors_pb2
from capstan.inference.v1 import inference_pb2 as pb
from capstan.inference.v1 import inference_pb2_grpc
from chassis.rpc_client import connect
from chassis.testing import running
from services.inference.app import build
from services.inference.settings import Settings
from tests.witness import GRACE_S, Witness, listening


@asynccontextmanager
async def told(**changes: object) -> AsyncIterator[tuple[Witness, inference_pb2_grpc.InferenceServiceStub]]:
    """A simulated replica and the billing it reports to."""
    with tempfile.TemporaryDirectory(prefix="cap-") as folder:
        fields = {"model_name": "sim", "engine": "simulator", "sim_tokens_per_s": 0, "sim_ttft_s": 0} | changes
        async with (
            listening(Path(folder)) as (billing, address),
            running("inference", build, Settings(**fields, billing_address=address)) as service,  # type: ignore[arg-type]  # made of keywords
            connect(service.address) as channel,
        ):
            yield billing, inference_pb2_grpc.InferenceServiceStub(channel)


def start(
    request_id: str, admission: bytes = b"who asked", text: str = "Hello there.", **sampling: object
) -> pb.SessionRequest:
    return pb.SessionRequest(
        start=pb.Start(
            request_id=request_id,
            organization_id="org-1",
            text=text,
            admission=admission,
            sampling=pb.Sampling(**sampling),  # type: ignore[arg-type]  # made of keywords
        )
    )


async def finished(call) -> pb.Delta:
    while True:
        for delta in (await call.read()).deltas:
            if delta.HasField("finish") or delta.HasField("failure"):
                return delta


async def session(stub: inference_pb2_grpc.InferenceServiceStub):
    call = stub.Session()
    await call.write(pb.SessionRequest(open=pb.Open(gateway_id="gateway-1")))
    await call.read()
    return call


async def tells_of_nothing_before(billing: Witness, call) -> None:
    """See that the next request is the first that billing hears of."""
    await call.write(start("req_last", max_tokens=2))
    await finished(call)
    await billing.heard("req_last")
    assert set(billing.told) == {"req_last"}
    call.cancel()


async def test_what_the_gateway_hears_billing_hears_too_with_what_was_given_along() -> None:
    async with told() as (billing, stub):
        billing.refusals = 1
        call = await session(stub)
        await call.write(start("req_1", max_tokens=7))
        finish = (await finished(call)).finish
        usage = await billing.heard("req_1")
        assert usage.usage == finish.usage
        assert usage.usage.completion_tokens == 7
        assert (usage.admission, usage.failed) == (b"who asked", False)
        call.cancel()


async def test_a_gateway_that_breaks_off_does_not_silence_the_engine() -> None:
    async with told(sim_tokens_per_s=200, sim_answer_tokens=10**6) as (billing, stub):
        call = await session(stub)
        await call.write(start("req_2"))
        seen = 0
        while seen < 5:
            seen += sum(delta.token_count for delta in (await call.read()).deltas)
        call.cancel()
        usage = await billing.heard("req_2")
        assert usage.usage.completion_tokens >= seen
        assert usage.usage.prompt_tokens > 0
        assert not usage.failed


async def test_what_the_engine_never_took_in_and_what_nobody_vouches_for_is_not_told() -> None:
    async with told(max_model_tokens=16) as (billing, stub):
        call = await session(stub)
        await call.write(start("req_long", text="Hello there. " * 20))
        assert (await finished(call)).HasField("failure")
        await call.write(start("req_refused", max_tokens=2, logit_bias={10**6: 1.0}))
        assert (await finished(call)).HasField("failure")
        await call.write(start("req_nameless", admission=b"", max_tokens=2))
        await finished(call)
        await tells_of_nothing_before(billing, call)


async def test_what_finds_the_engines_queue_full_is_not_told() -> None:
    async with told(max_waiting=1) as (billing, stub):
        call = await session(stub)
        await call.write(start("req_full", choice_count=2))
        assert (await finished(call)).failure.reason == errors_pb2.ERROR_REASON_OVERLOADED
        await tells_of_nothing_before(billing, call)


async def test_what_runs_out_of_time_is_told_as_the_gateway_hears_it() -> None:
    async with told(sim_tokens_per_s=200, sim_answer_tokens=10**6) as (billing, stub):
        call = await session(stub)
        late = start("req_late")
        late.start.time_left.FromMilliseconds(300)
        await call.write(late)
        end = await finished(call)
        assert end.failure.reason == errors_pb2.ERROR_REASON_DEADLINE_EXCEEDED
        usage = await billing.heard("req_late")
        assert (usage.usage, usage.failed) == (end.finish.usage, False)
        assert usage.usage.prompt_tokens > 0
        call.cancel()


async def test_embeddings_are_told_too() -> None:
    async with told(runner="pooling") as (billing, stub):
        request = pb.EmbedRequest(
            request_id="req_e", organization_id="org-1", inputs=[pb.EmbedInput(text="a b")], admission=b"who"
        )
        answer = await stub.Embed(request, timeout=GRACE_S)
        assert (await billing.heard("req_e")).usage == answer.usage
