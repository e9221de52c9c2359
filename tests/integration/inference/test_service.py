"""What the inference service does beside sessions: it tells of itself and its load, embeds, takes adapters, drains."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from pathlib import Path

import grpc
import pytest
from prometheus_client import generate_latest

from capstan.inference.v1 import inference_pb2 as pb
from capstan.inference.v1 import inference_pb2_grpc
from chassis.clock import ManualClock
from chassis.errors import Reason, from_failure
from chassis.rpc_client import translate
from tests.integration.inference.service_client import FAST, Gateway, load_of, service, stub_of


async def test_the_model_describes_itself(stub: inference_pb2_grpc.InferenceServiceStub) -> None:
    told = await stub.DescribeModel(pb.DescribeModelRequest())
    assert (told.model, told.generates, told.embeds) == ("sim", True, False)
    assert (told.max_model_tokens, told.fingerprint) == (8192, "fp_simulator")
    assert told.vocabulary_size > 256
    assert told.start_time.seconds > 0


async def test_the_load_is_told_at_once_and_when_it_changes() -> None:
    slow = FAST.model_copy(update={"sim_tokens_per_s": 0.001})
    clock = ManualClock()
    async with service(slow, clock) as it, stub_of(it) as stub:
        watch = stub.WatchLoad(pb.WatchLoadRequest())
        first = await watch.read()
        assert (first.running_count, first.accepting, first.HasField("stalled_for")) == (0, True, False)
        gateway = await Gateway(stub).open()
        await gateway.start(1)
        await gateway.delta()
        await clock.advance(0.1)
        second = await watch.read()
        assert (second.running_count, second.max_running_count, second.kv_usage > 0) == (1, 64, True)
        await clock.advance(1.1)
        third = await watch.read()
        assert third.running_count == 1
        watch.cancel()
        gateway.call.cancel()


async def test_a_replica_tells_how_long_it_has_had_nothing_to_do() -> None:
    slow, clock = FAST.model_copy(update={"sim_tokens_per_s": 0.001}), ManualClock()
    async with service(slow, clock) as it, stub_of(it) as stub:
        await clock.advance(50)
        assert (await load_of(stub)).idle_for.seconds == 50
        gateway = await Gateway(stub).open()
        await gateway.start(1)
        await gateway.delta()
        assert (await load_of(stub)).idle_for.ToNanoseconds() == 0
        await clock.advance(20)
        assert (await load_of(stub)).idle_for.ToSeconds() == 0  # it is still at it
        gateway.call.cancel()
        async with asyncio.timeout(10):
            while (await load_of(stub)).running_count:
                pass
        await clock.advance(30)
        assert 29 <= (await load_of(stub)).idle_for.seconds <= 30


async def test_vectors_and_counted_tokens_are_something_to_do() -> None:
    clock = ManualClock()
    async with service(FAST.model_copy(update={"runner": "pooling"}), clock) as it, stub_of(it) as stub:
        await clock.advance(50)
        await stub.Embed(pb.EmbedRequest(request_id="req_1", inputs=[pb.EmbedInput(text="x")]))
        assert (await load_of(stub)).idle_for.seconds == 0
        await clock.advance(50)
        with contextlib.suppress(grpc.aio.AioRpcError):  # a model for vectors counts nothing; that somebody asks counts
            await stub.CountTokens(pb.CountTokensRequest(chat=pb.ChatPrompt()))
        assert (await load_of(stub)).idle_for.seconds == 0


async def test_an_interval_out_of_range_is_refused(stub: inference_pb2_grpc.InferenceServiceStub) -> None:
    request = pb.WatchLoadRequest()
    request.max_interval.FromMilliseconds(1)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.WatchLoad(request).read()
    assert translate(refusal.value, "inference").metadata == {"param": "max_interval"}


async def test_adapters_come_and_go(
    gateway: Gateway, stub: inference_pb2_grpc.InferenceServiceStub, tmp_path: Path
) -> None:
    await stub.LoadAdapter(pb.LoadAdapterRequest(name="mine", path=str(tmp_path)))
    assert list((await stub.DescribeModel(pb.DescribeModelRequest())).adapters) == ["mine"]
    for name, path, reason in [
        ("mine", "/elsewhere", Reason.OBJECT_CONFLICT),
        ("other", str(tmp_path), Reason.OVERLOADED),
        ("", str(tmp_path), Reason.INVALID_ARGUMENT),
    ]:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.LoadAdapter(pb.LoadAdapterRequest(name=name, path=path))
        assert translate(refusal.value, "inference").reason is reason
    await gateway.start(1, adapter="mine", sampling={"max_tokens": 8000, "stop": ["never"]})
    await gateway.delta()
    await stub.UnloadAdapter(pb.UnloadAdapterRequest(name="mine"))
    last = (await gateway.answer(1))[1][-1]
    assert from_failure(last.failure).reason is Reason.OBJECT_NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.LoadAdapter(pb.LoadAdapterRequest(name="mine", path=str(tmp_path / "nowhere")))
    assert translate(refusal.value, "inference").reason is Reason.OBJECT_NOT_FOUND


async def test_a_request_brings_its_adapter_along(
    gateway: Gateway, stub: inference_pb2_grpc.InferenceServiceStub, tmp_path: Path
) -> None:
    for slot, name in enumerate(("one", "two"), start=1):
        (tmp_path / name).mkdir()
        await gateway.start(slot, adapter=name, adapter_path=str(tmp_path / name))
        assert (await gateway.answer(slot))[slot][-1].HasField("finish")
        described = await stub.DescribeModel(pb.DescribeModelRequest())
        assert (list(described.adapters), described.max_adapter_count) == ([name], 1)
    await gateway.start(3, adapter="three", adapter_path=str(tmp_path / "three"))
    failure = await gateway.failure(3)
    assert (failure.reason, failure.metadata["object"]) == (Reason.OBJECT_NOT_FOUND, "adapter")


async def test_vectors_are_little_endian_floats_of_length_one() -> None:
    pooling = FAST.model_copy(update={"runner": "pooling"})
    async with service(pooling) as it, stub_of(it) as stub:
        inputs = [pb.EmbedInput(text="one"), pb.EmbedInput(tokens=pb.TokenPrompt(token_ids=[1, 2, 3]))]
        answer = await stub.Embed(pb.EmbedRequest(request_id="req_1", organization_id="org_1", inputs=inputs))
        assert answer.usage.prompt_tokens == 6
        for vector in answer.embeddings:
            values = struct.unpack("<384f", vector)
            assert sum(value * value for value in values) == pytest.approx(1)
        request = pb.EmbedRequest(request_id="req_2", organization_id="org_1", inputs=inputs, dimensions=64)
        short = struct.unpack("<64f", (await stub.Embed(request)).embeddings[0])
        assert sum(value * value for value in short) == pytest.approx(1)
        whole = struct.unpack("<384f", answer.embeddings[0])
        assert short[0] / short[1] == pytest.approx(whole[0] / whole[1], rel=1e-4)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.EmbedRequest(inputs=[]), Reason.PARAMETER_REFUSED),
        (pb.EmbedRequest(inputs=[pb.EmbedInput(text="")]), Reason.PARAMETER_REFUSED),
        (pb.EmbedRequest(inputs=[pb.EmbedInput()]), Reason.PARAMETER_REFUSED),
        (pb.EmbedRequest(inputs=[pb.EmbedInput(text="x")] * 2049), Reason.PARAMETER_REFUSED),
        (pb.EmbedRequest(inputs=[pb.EmbedInput(text="x")], dimensions=999), Reason.PARAMETER_REFUSED),
        (pb.EmbedRequest(inputs=[pb.EmbedInput(text="x" * 20_000)]), Reason.CONTEXT_LENGTH_EXCEEDED),
        (pb.EmbedRequest(inputs=[pb.EmbedInput(text="x" * 8000)] * 80), Reason.PARAMETER_REFUSED),
    ],
)
async def test_what_cannot_be_embedded_is_refused(request_: pb.EmbedRequest, reason: Reason) -> None:
    async with service(FAST.model_copy(update={"runner": "pooling"})) as it, stub_of(it) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.Embed(request_)
        assert translate(refusal.value, "inference").reason is reason


async def test_a_model_of_another_kind_says_so(gateway: Gateway, stub: inference_pb2_grpc.InferenceServiceStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.Embed(pb.EmbedRequest(inputs=[pb.EmbedInput(text="x")]))
    assert translate(refusal.value, "inference").reason is Reason.MODEL_KIND_MISMATCH
    async with service(FAST.model_copy(update={"runner": "pooling"})) as it, stub_of(it) as other:
        vectors = await Gateway(other).open()
        await vectors.start(1)
        assert (await vectors.failure(1)).reason is Reason.MODEL_KIND_MISMATCH
        vectors.call.cancel()


async def test_a_conversation_is_counted_as_it_would_be_read(
    gateway: Gateway, stub: inference_pb2_grpc.InferenceServiceStub
) -> None:
    chat = pb.ChatPrompt(messages=[pb.ChatMessage(role="user", content="Hello there.")])
    counted = await stub.CountTokens(pb.CountTokensRequest(chat=chat))
    await gateway.start(1, chat=chat, sampling={"max_tokens": 2})
    assert counted.token_count == (await gateway.answer(1))[1][-1].finish.usage.prompt_tokens > 0
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.CountTokens(pb.CountTokensRequest())
    assert translate(refusal.value, "inference").reason is Reason.PARAMETER_REFUSED
    async with service(FAST.model_copy(update={"runner": "pooling"})) as it, stub_of(it) as other:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await other.CountTokens(pb.CountTokensRequest(chat=chat))
        assert translate(refusal.value, "inference").reason is Reason.MODEL_KIND_MISMATCH


async def test_the_engine_and_the_requests_are_measured() -> None:
    async with service() as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        await gateway.start(1, sampling={"max_tokens": 5})
        await gateway.start(2, sampling={"temperature": 9})
        await gateway.answer(1, 2)
        page = generate_latest(it.kit.registry).decode()
        for line in (
            'capstan_engine_generated_tokens_total{model="sim"} 5.0',
            'capstan_engine_requests_running{model="sim"} 0.0',
            'capstan_inference_requests_total{finish="length"} 1.0',
            'capstan_inference_requests_total{finish="parameter_refused"} 1.0',
            "capstan_inference_time_to_first_token_seconds_count 1.0",
            "capstan_inference_sessions 1.0",
            "capstan_inference_drift_ratio 0.0",
        ):
            assert line in page
        gateway.call.cancel()


async def test_too_many_long_prompts_at_once_are_refused() -> None:
    async with service(FAST.model_copy(update={"max_preparing": 0})) as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        await gateway.start(1, text="x" * 2001)
        assert (await gateway.failure(1)).reason is Reason.OVERLOADED
        await gateway.start(2, text="x" * 2000, sampling={"max_tokens": 1})
        await gateway.answer(2)
        gateway.call.cancel()


async def test_faults_are_commanded_over_the_control_socket(tmp_path: Path) -> None:
    address = f"{tmp_path}/control.sock"
    hanging = {"sim_control": f"unix:{address}", "sim_tokens_per_s": 100.0, "stall_s": 0.05, "stall_exit_s": 1e9}
    async with service(FAST.model_copy(update=hanging)) as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        await gateway.start(1, sampling={"max_tokens": 8000})
        await gateway.delta()
        await command(address, "hang")
        assert await accepting(stub) is False
        await command(address, "resume")
        assert await accepting(stub) is True
        await gateway.delta()
        gateway.call.cancel()


async def test_a_dead_engine_ends_the_service(tmp_path: Path) -> None:
    address = f"{tmp_path}/control.sock"
    settings = FAST.model_copy(update={"sim_control": f"unix:{address}", "sim_tokens_per_s": 100.0})
    async with service(settings) as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        await gateway.start(1, sampling={"max_tokens": 8000})
        await gateway.delta()
        await command(address, "fail")
        last = (await gateway.answer(1))[1][-1]
        assert from_failure(last.failure).reason is Reason.ENGINE_FAILED
        assert (
            await asyncio.wait_for(asyncio.shield(it.kit.tasks.failed), 10) == "background task 'tend sessions' ended"
        )


async def command(address: str, word: str) -> None:
    reader, writer = await asyncio.open_unix_connection(address)
    writer.write(json.dumps({"command": word}).encode() + b"\n")
    assert "pace" in json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()


async def accepting(stub: inference_pb2_grpc.InferenceServiceStub) -> bool:
    """Whether the replica accepts, once it changed its mind."""
    watch = stub.WatchLoad(pb.WatchLoadRequest())
    before = (await watch.read()).accepting
    async with asyncio.timeout(10):
        while (load := await watch.read()).accepting == before:
            pass
    watch.cancel()
    return bool(load.accepting)


async def test_what_outlasts_the_grace_is_told_to_go_on_elsewhere() -> None:
    paced = FAST.model_copy(update={"sim_tokens_per_s": 200.0, "grace_s": 1.0})
    async with service(paced) as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        await gateway.start(1, sampling={"max_tokens": 4000})
        await gateway.delta()
        it.stop.ask()
        end = (await gateway.answer(1))[1][-1]
        told = from_failure(end.failure)
        assert (told.reason, told.metadata["stopping"]) == (Reason.UNAVAILABLE, "true")
        assert await gateway.end() is None


async def test_draining_ends_idle_sessions_and_lets_busy_ones_finish() -> None:
    paced = FAST.model_copy(update={"sim_tokens_per_s": 200.0})
    async with service(paced) as it, stub_of(it) as stub:
        idle_one, busy = await Gateway(stub).open(), await Gateway(stub).open()
        await busy.start(1, sampling={"max_tokens": 60, "stop": ["never"], "logit_bias": {97: 100.0}})
        await busy.delta()
        it.stop.ask()
        assert await idle_one.end() is None
        await busy.start(2)
        refused = None
        while True:
            delta = await busy.delta()
            if delta.HasField("failure"):
                refused = from_failure(delta.failure)
            if delta.HasField("finish"):
                break
        assert refused is not None
        assert refused.reason is Reason.UNAVAILABLE
        assert await busy.end() is None
