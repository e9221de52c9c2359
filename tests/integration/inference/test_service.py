"""The inference service over real gRPC, with the simulator as its engine: sessions, vectors, adapters, load, drain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from prometheus_client import generate_latest

from capstan.inference.v1 import inference_pb2 as pb
from capstan.inference.v1 import inference_pb2_grpc
from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason, from_failure
from chassis.rpc_client import connect, translate
from chassis.testing import Running, running
from services.inference.app import build
from services.inference.settings import Settings

FAST = Settings(
    model_name="sim",
    engine="simulator",
    sim_tokens_per_s=0,
    sim_ttft_s=0,
    sim_answer_tokens=10**9,
    max_adapters=1,
    inline_characters=2000,
    session_waiting_deltas=20_000,
)


class Gateway:
    """A gateway's end of one session."""

    def __init__(self, stub: inference_pb2_grpc.InferenceServiceStub) -> None:
        self.call = stub.Session()
        self.frames: list[pb.SessionResponse] = []
        self._pending: list[pb.Delta] = []

    async def open(self) -> Gateway:
        await self.call.write(pb.SessionRequest(open=pb.Open(gateway_id="gateway-1")))
        first = await self.call.read()
        assert not first.deltas
        return self

    async def start(self, slot: int, text: str = "Hello there.", **fields: object) -> None:
        sampling = pb.Sampling(**fields.pop("sampling", {}))  # type: ignore[arg-type]
        start = pb.Start(
            slot=slot,
            request_id=f"req_{slot}",
            organization_id="org_1",
            sampling=sampling,
            **({} if {"chat", "tokens"} & fields.keys() else {"text": text}),
            **fields,  # type: ignore[arg-type]
        )
        await self.call.write(pb.SessionRequest(start=start))

    async def abort(self, slot: int) -> None:
        await self.call.write(pb.SessionRequest(abort=pb.Abort(slot=slot)))

    async def delta(self) -> pb.Delta:
        """The next delta, of whichever slot."""
        while not self._pending:
            frame = await asyncio.wait_for(self.call.read(), 10)
            assert isinstance(frame, pb.SessionResponse), "the session ended"
            self.frames.append(frame)
            self._pending = list(frame.deltas)
        return self._pending.pop(0)

    async def answer(self, *slots: int) -> dict[int, list[pb.Delta]]:
        """All deltas of these slots, to their ends."""
        answers: dict[int, list[pb.Delta]] = {slot: [] for slot in slots}
        open_slots = set(slots)
        while open_slots:
            delta = await self.delta()
            answers[delta.slot].append(delta)
            if delta.HasField("finish") or delta.HasField("failure"):
                open_slots.discard(delta.slot)
        return answers

    async def failure(self, slot: int) -> CapstanError:
        """What the slot failed of, at once."""
        [delta] = (await self.answer(slot))[slot]
        return from_failure(delta.failure)

    async def end(self) -> CapstanError | None:
        """Read to the end of the stream; answer what it ended with."""
        try:
            while await self.call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return translate(error, "inference")
        return None


@contextlib.asynccontextmanager
async def service(settings: Settings = FAST, clock: ManualClock | None = None) -> AsyncIterator[Running]:
    async with running("inference", build, settings, clock=clock) as it:
        yield it


@contextlib.asynccontextmanager
async def stub_of(it: Running) -> AsyncIterator[inference_pb2_grpc.InferenceServiceStub]:
    async with connect(it.address) as channel:
        yield inference_pb2_grpc.InferenceServiceStub(channel)


@pytest.fixture
async def stub() -> AsyncIterator[inference_pb2_grpc.InferenceServiceStub]:
    async with service() as it, stub_of(it) as it_stub:
        yield it_stub


@pytest.fixture
async def gateway(stub: inference_pb2_grpc.InferenceServiceStub) -> AsyncIterator[Gateway]:
    gateway = await Gateway(stub).open()
    yield gateway
    gateway.call.cancel()


async def load_of(stub: inference_pb2_grpc.InferenceServiceStub) -> pb.WatchLoadResponse:
    call = stub.WatchLoad(pb.WatchLoadRequest())
    load = await call.read()
    call.cancel()
    assert isinstance(load, pb.WatchLoadResponse)
    return load


async def idle(stub: inference_pb2_grpc.InferenceServiceStub) -> pb.WatchLoadResponse:
    """The load once nothing runs any more."""
    call = stub.WatchLoad(pb.WatchLoadRequest())
    async with asyncio.timeout(10):
        while (load := await call.read()).running_count or load.waiting_count:
            pass
    call.cancel()
    return load


async def test_a_request_is_answered_and_counted(gateway: Gateway) -> None:
    await gateway.start(7, sampling={"max_tokens": 5, "temperature": 0})
    deltas = (await gateway.answer(7))[7]
    assert sum(delta.token_count for delta in deltas) == 5
    assert "".join(delta.text for delta in deltas)
    assert deltas[-1].finish_reason == pb.FINISH_REASON_LENGTH
    usage = deltas[-1].finish.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (len(b"|Hello there.") - 5, 5)


async def test_a_steps_deltas_share_a_frame(gateway: Gateway) -> None:
    for slot in range(20):
        await gateway.start(slot, sampling={"max_tokens": 50})
    answers = await gateway.answer(*range(20))
    deltas = sum(map(len, answers.values()))
    assert len(gateway.frames) < deltas / 4


async def test_a_slot_can_be_used_again(gateway: Gateway) -> None:
    for _ in range(3):
        await gateway.start(1, sampling={"max_tokens": 2})
        assert len((await gateway.answer(1))[1]) == 2


async def test_choices_are_numbered_and_counted_together(gateway: Gateway) -> None:
    await gateway.start(1, sampling={"max_tokens": 4, "choice_count": 3})
    deltas = (await gateway.answer(1))[1]
    assert sorted({delta.choice for delta in deltas}) == [0, 1, 2]
    assert sum(bool(delta.finish_reason) for delta in deltas) == 3
    assert [delta.HasField("finish") for delta in deltas].count(True) == 1
    assert deltas[-1].finish.usage.completion_tokens == 12


async def test_an_abort_is_answered_with_what_was_used(gateway: Gateway) -> None:
    await gateway.start(1, sampling={"max_tokens": 8000, "stop": ["never"]})
    await gateway.delta()
    await gateway.abort(1)
    deltas = (await gateway.answer(1))[1]
    assert deltas[-1].finish_reason in (pb.FINISH_REASON_ABORT, pb.FINISH_REASON_STOP, pb.FINISH_REASON_LENGTH)
    assert deltas[-1].finish.usage.prompt_tokens > 0


async def test_an_abort_of_an_unknown_slot_is_ignored(gateway: Gateway) -> None:
    await gateway.abort(99)
    await gateway.start(1, sampling={"max_tokens": 1})
    await gateway.answer(1)


async def test_a_broken_session_leaves_nothing_running() -> None:
    slow = FAST.model_copy(update={"sim_tokens_per_s": 100.0})
    async with service(slow) as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        for slot in range(10):
            await gateway.start(slot, sampling={"max_tokens": 8000}, text="x" * 3000 if slot % 2 else "Hello")
        await gateway.delta()
        gateway.call.cancel()
        load = await idle(stub)
        assert load.generated_tokens < 10_000


async def test_a_closed_session_finishes_what_runs(gateway: Gateway) -> None:
    await gateway.start(1, sampling={"max_tokens": 100})
    await gateway.call.done_writing()
    assert (await gateway.answer(1))[1][-1].HasField("finish")
    assert await gateway.end() is None


async def test_a_gateway_that_does_not_read_is_cut_off_and_others_go_on() -> None:
    async with service(FAST.model_copy(update={"session_waiting_deltas": 1000})) as it, stub_of(it) as stub:
        deaf = await Gateway(stub).open()
        for slot in range(16):  # 100 MB, many times what the connection buffers
            sampling = {"max_tokens": 8000, "top_logprobs": 20}
            await deaf.start(slot, sampling=sampling)
        async with stub_of(it) as other:
            hearing = await Gateway(other).open()
            await hearing.start(500, sampling={"max_tokens": 5})
            await hearing.answer(500)
            load = await idle(other)
            assert load.generated_tokens < 16 * 8000
            hearing.call.cancel()
        error = await deaf.end()
        assert error is not None
        assert error.reason is Reason.UNAVAILABLE


async def test_a_frame_that_is_not_taken_in_time_ends_the_session() -> None:
    clock = ManualClock()
    slow = FAST.model_copy(
        update={
            "sim_tokens_per_s": 5.0,
            "max_running": 4096,
            "max_waiting": 9999,
            "sim_kv_blocks": 10**7,
            "inline_characters": 20_000,
        }
    )
    async with service(slow, clock) as it, stub_of(it) as stub, stub_of(it) as other:
        deaf = await Gateway(stub).open()
        for slot in range(64):  # 32 MB, several times what the connection buffers
            await deaf.start(slot, text="x" * 16_000, sampling={"echo": True, "choice_count": 32})
        while (await load_of(other)).running_count < 64 * 32:
            await asyncio.sleep(0)
        for _ in range(20):
            await clock.advance(1)
        assert (await load_of(other)).running_count == 0
        error = await deaf.end()
        assert error is not None
        assert error.reason is Reason.UNAVAILABLE


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (pb.SessionRequest(abort=pb.Abort(slot=1)), "open"),
        (pb.SessionRequest(start=pb.Start(slot=1)), "open"),
        (pb.SessionRequest(), "open"),
    ],
)
async def test_a_session_begins_with_open(
    stub: inference_pb2_grpc.InferenceServiceStub, message: pb.SessionRequest, param: str
) -> None:
    gateway = Gateway(stub)
    await gateway.call.write(message)
    error = await gateway.end()
    assert error is not None
    assert (error.reason, error.metadata["param"]) == (Reason.INVALID_ARGUMENT, param)


async def test_what_only_a_newer_gateway_says_is_passed_over(gateway: Gateway) -> None:
    newer = pb.SessionRequest.FromString(b"\x82\xfa\x01\x03new")
    await gateway.call.write(newer)
    await gateway.start(0, sampling={"max_tokens": 5})
    assert (await gateway.answer(0))[0][-1].finish.usage.completion_tokens == 5


async def test_a_slot_in_use_ends_the_session(gateway: Gateway) -> None:
    await gateway.start(1, sampling={"max_tokens": 8000, "stop": ["never"]})
    await gateway.start(1)
    error = await gateway.end()
    assert error is not None
    assert error.metadata == {"param": "slot"}


@pytest.mark.parametrize(
    ("fields", "reason", "param"),
    [
        ({"sampling": {"temperature": 3.0}}, Reason.PARAMETER_REFUSED, "temperature"),
        ({"sampling": {"choice_count": 200}}, Reason.PARAMETER_REFUSED, "n"),
        ({"tokens": pb.TokenPrompt(token_ids=[999_999])}, Reason.PARAMETER_REFUSED, "prompt"),
        ({"tokens": pb.TokenPrompt()}, Reason.PARAMETER_REFUSED, "prompt"),
        ({"chat": pb.ChatPrompt()}, Reason.PARAMETER_REFUSED, "messages"),
        (
            {"text": "x " * 900, "sampling": {"echo": True, "choice_count": 128, "top_logprobs": 9}},
            Reason.PARAMETER_REFUSED,
            "echo",
        ),
        ({"format": pb.OutputFormat()}, Reason.PARAMETER_REFUSED, "response_format"),
        ({"format": pb.OutputFormat(json_object=True)}, Reason.PARAMETER_REFUSED, "response_format"),
        ({"format": pb.OutputFormat(json_schema="[")}, Reason.PARAMETER_REFUSED, "response_format"),
    ],
)
async def test_what_cannot_be_done_fails_its_slot_alone(
    gateway: Gateway, fields: dict[str, object], reason: Reason, param: str
) -> None:
    await gateway.start(1, **fields)  # type: ignore[arg-type]
    error = await gateway.failure(1)
    assert (error.reason, error.metadata["param"]) == (reason, param)
    await gateway.start(2, sampling={"max_tokens": 1})
    await gateway.answer(2)


async def test_a_prompt_that_does_not_fit_says_by_how_much(gateway: Gateway) -> None:
    await gateway.start(1, text="x" * 20_000)
    error = await gateway.failure(1)
    assert error.reason is Reason.CONTEXT_LENGTH_EXCEEDED
    assert error.metadata["limit_tokens"] == "8192"
    assert int(error.metadata["prompt_tokens"]) > 10_000


async def test_an_id_in_use_is_refused(gateway: Gateway) -> None:
    await gateway.start(1, sampling={"max_tokens": 8000, "stop": ["never"]})
    await gateway.call.write(
        pb.SessionRequest(start=pb.Start(slot=2, request_id="req_1", organization_id="org_1", text="a"))
    )
    while not (delta := await gateway.delta()).HasField("failure"):
        pass
    assert (delta.slot, from_failure(delta.failure).reason) == (2, Reason.INVALID_ARGUMENT)


async def test_an_overdue_request_fails_and_frees_its_place() -> None:
    clock = ManualClock()
    slow = FAST.model_copy(update={"sim_tokens_per_s": 0.001})
    async with service(slow, clock) as it, stub_of(it) as stub:
        gateway = await Gateway(stub).open()
        start = pb.Start(slot=1, request_id="req_1", organization_id="org_1", text="Hello")
        start.time_left.FromMilliseconds(5000)
        await gateway.call.write(pb.SessionRequest(start=start))
        await gateway.delta()
        await clock.advance(4.9)
        assert (await load_of(stub)).running_count == 1
        await clock.advance(0.3)
        assert (await gateway.failure(1)).reason is Reason.DEADLINE_EXCEEDED
        assert (await load_of(stub)).running_count == 0


async def test_an_echo_comes_before_each_choice(gateway: Gateway) -> None:
    sampling = {"max_tokens": 3, "choice_count": 2, "echo": True, "top_logprobs": 1}
    await gateway.start(1, text="Say this. ", sampling=sampling)
    deltas = (await gateway.answer(1))[1]
    for choice in (0, 1):
        mine = [delta for delta in deltas if delta.choice == choice]
        assert mine[0].text == "Say this. "
        assert mine[0].token_count == 0
        assert len(mine[0].logprobs) == deltas[-1].finish.usage.prompt_tokens
        assert mine[0].logprobs[0].chosen.logprob == -9999
        assert [len(delta.logprobs) for delta in mine[1:]] == [1, 1, 1]
    assert deltas[-1].finish.usage.completion_tokens == 6


async def test_a_second_turn_finds_the_first_in_the_cache_unless_it_is_anothers(gateway: Gateway) -> None:
    first = [pb.ChatMessage(role="user", content="Remember this. " * 20)]
    chat = pb.ChatPrompt(messages=first)
    more = pb.ChatPrompt(messages=[*first, pb.ChatMessage(role="user", content="Well?")])
    cached = []
    for slot, (prompt, organization) in enumerate([(chat, "org_1"), (more, "org_1"), (more, "org_2")]):
        start = pb.Start(slot=slot, request_id=f"req_{slot}", organization_id=organization, chat=prompt)
        start.sampling.max_tokens = 1
        await gateway.call.write(pb.SessionRequest(start=start))
        cached.append((await gateway.answer(slot))[slot][-1].finish.usage.cached_prompt_tokens)
    assert cached[0] == cached[2] == 0
    assert cached[1] > 100


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
