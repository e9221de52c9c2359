"""Sessions of gateways with the inference service: requests, their ends, their faults."""

from __future__ import annotations

import asyncio

import pytest

from capstan.inference.v1 import inference_pb2 as pb
from capstan.inference.v1 import inference_pb2_grpc
from chassis.clock import ManualClock
from chassis.errors import Reason, from_failure
from tests.integration.inference.service_client import FAST, Gateway, idle, load_of, service, stub_of


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
