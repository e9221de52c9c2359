"""Sessions: frames to inboxes in order, slow readers, aborts, silence, and sessions that break. Over real gRPC."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capstan.errors.v1 import errors_pb2
from capstan.inference.v1 import inference_pb2, inference_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import connect
from services.gateway.peers.inbox import JOINED_FROM, MOST_JOINED_TOKENS, Inbox, Patience, joined
from services.gateway.peers.inference import Replicas

LOG = logging.getLogger("test")


def plain(address: str, name: str | None = None) -> grpc.aio.Channel:
    return connect(address)


PATIENCE = Patience(first_token_s=60, idle_s=30, request_s=600, buffer_bytes=1000)


class Replica(inference_pb2_grpc.InferenceServiceServicer):
    """A replica that a test plays by hand: it sees what was asked and says what frames to send."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[inference_pb2.SessionRequest] = asyncio.Queue()
        self.frames: asyncio.Queue[inference_pb2.SessionResponse | None] = asyncio.Queue()
        self.sessions = 0

    async def Session(self, requests, context):
        self.sessions += 1
        reader = asyncio.create_task(self._read(requests))
        yield inference_pb2.SessionResponse()
        try:
            while (frame := await self.frames.get()) is not None:
                yield frame
        finally:
            reader.cancel()

    async def _read(self, requests) -> None:
        async for request in requests:
            await self.asked.put(request)

    async def expect(self, kind: str) -> inference_pb2.SessionRequest:
        request = await asyncio.wait_for(self.asked.get(), 5)
        assert request.WhichOneof("message") == kind
        return request

    def say(self, *deltas: inference_pb2.Delta) -> None:
        self.frames.put_nowait(inference_pb2.SessionResponse(deltas=deltas))


@contextlib.asynccontextmanager
async def replica(folder: Path) -> AsyncIterator[tuple[Replica, str]]:
    server, servicer = grpc.aio.server(), Replica()
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server)
    address = f"unix:{folder}/replica.sock"
    server.add_insecure_port(address)
    await server.start()
    try:
        yield servicer, address
    finally:
        await server.stop(0)


@pytest.fixture
async def scene(tmp_path: Path):
    async with replica(tmp_path) as (servicer, address):
        replicas = Replicas("gateway-1", LOG, plain)
        yield servicer, replicas, address
        await replicas.close()


class Nowhere:
    """Where slots run that nobody aborts."""

    begun = True

    def abort(self, slot: int) -> None: ...


def now() -> float:
    return asyncio.get_running_loop().time()


def start() -> inference_pb2.Start:
    return inference_pb2.Start(text="hi")


def text(slot: int, value: str, **fields: object) -> inference_pb2.Delta:
    return inference_pb2.Delta(slot=slot, text=value, token_count=1, **fields)


def end(slot: int, prompt: int = 3, completion: int = 2) -> inference_pb2.Delta:
    usage = usage_pb2.TokenUsage(prompt_tokens=prompt, completion_tokens=completion)
    return inference_pb2.Delta(slot=slot, finish_reason=1, finish=inference_pb2.Finish(usage=usage))


async def drain(inbox: Inbox) -> str:
    parts: list[str] = []
    while batch := await asyncio.wait_for(inbox.take(now()), 5):
        parts += [delta.text for _, delta in batch]
    return "".join(parts)


async def test_the_first_message_opens_the_session_and_names_the_gateway(scene) -> None:
    servicer, replicas, address = scene
    replicas.session(address)
    assert (await servicer.expect("open")).open.gateway_id == "gateway-1"


async def test_two_requests_share_one_session_and_each_gets_its_own_deltas_in_order(scene) -> None:
    servicer, replicas, address = scene
    inboxes = [Inbox(PATIENCE, now()), Inbox(PATIENCE, now())]
    for inbox in inboxes:
        replicas.session(address).start(start(), 0, inbox)
    await servicer.expect("open")
    slots = [(await servicer.expect("start")).start.slot for _ in inboxes]
    servicer.say(text(slots[0], "a"), text(slots[1], "x"))
    servicer.say(text(slots[1], "y"), text(slots[0], "b"))
    servicer.say(end(slots[0]), end(slots[1], prompt=7))
    assert [await drain(inbox) for inbox in inboxes] == ["ab", "xy"]
    assert [inbox.usage.prompt_tokens for inbox in inboxes] == [3, 7]
    assert servicer.sessions == 1


async def test_slots_of_one_request_are_numbered_through_and_their_usage_is_summed(scene) -> None:
    servicer, replicas, address = scene
    inbox = Inbox(PATIENCE, now())
    for base in (0, 2):
        replicas.session(address).start(start(), base, inbox)
    await servicer.expect("open")
    slots = [(await servicer.expect("start")).start.slot for _ in range(2)]
    servicer.say(text(slots[1], "b", choice=1), end(slots[0]), end(slots[1]))
    seen: list[int] = []
    while batch := await inbox.take(now()):
        seen += [base + delta.choice for base, delta in batch if delta.text]
    assert seen == [3]
    assert inbox.usage.completion_tokens == 4


async def test_a_slow_reader_is_aborted_when_its_buffer_is_full_and_disturbs_nobody(scene) -> None:
    servicer, replicas, address = scene
    slow, quick = Inbox(PATIENCE, now()), Inbox(PATIENCE, now())
    session = replicas.session(address)
    session.start(start(), 0, slow)
    session.start(start(), 0, quick)
    await servicer.expect("open")
    slots = [(await servicer.expect("start")).start.slot for _ in range(2)]
    for _ in range(3):
        servicer.say(text(slots[0], "x" * 400), text(slots[1], "y"))
    assert (await servicer.expect("abort")).abort.slot == slots[0]
    servicer.say(end(slots[0]), end(slots[1]))
    assert await drain(quick) == "yyy"
    with pytest.raises(CapstanError) as caught:
        await drain(slow)
    assert caught.value.metadata["service"] == "client"


def deltas_of(pieces: list[tuple[int, str, str]]) -> list[tuple[int, inference_pb2.Delta]]:
    """Pieces are a choice, what is said and what is thought; each is one token with a log probability."""
    chosen = inference_pb2.TokenLogprob(chosen=inference_pb2.LogprobEntry(token=b"x", logprob=-1.0))
    return [
        (0, inference_pb2.Delta(slot=1, choice=choice, text=said, reasoning=thought, token_count=1, logprobs=[chosen]))
        for choice, said, thought in pieces
    ]


def told(news: Iterable[tuple[int, inference_pb2.Delta]], choice: int) -> list[tuple[str, str]]:
    """What a client reads of a choice, character by character: a delta's thought comes before its text."""
    return [
        (kind, character)
        for _, delta in news
        if delta.choice == choice
        for kind, words in (("thought", delta.reasoning), ("text", delta.text))
        for character in words
    ]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "a", "bc"]), st.sampled_from(["", "", "t"]))))
def test_joined_deltas_tell_the_same_in_the_same_order(pieces: list[tuple[int, str, str]]) -> None:
    news = deltas_of(pieces)
    fewer = joined(news)
    for choice in range(3):
        assert told(fewer, choice) == told(news, choice)
    assert sum(delta.token_count for _, delta in fewer) == len(pieces)
    assert sum(len(delta.logprobs) for _, delta in fewer) == len(pieces)


def test_what_waits_for_a_client_that_does_not_read_is_few_deltas_and_no_frames() -> None:
    inbox = Inbox(dataclasses.replace(PATIENCE, buffer_bytes=10**6), 0.0)
    inbox.attach(1, Nowhere())
    for number in range(5000):
        frame = inference_pb2.SessionResponse(deltas=[text(1, f"{number} "), text(2, "others" * 100)])
        inbox.deliver(1, 0, frame.deltas[0])
    news = asyncio.run(inbox.take(0.0))
    assert len(news) < 5000 / MOST_JOINED_TOKENS + JOINED_FROM + 1
    assert "".join(delta.text for _, delta in news) == "".join(f"{number} " for number in range(5000))


async def test_a_delta_of_any_size_is_no_sign_of_a_slow_reader() -> None:
    inbox = Inbox(PATIENCE, now())
    inbox.attach(1, Nowhere())
    inbox.deliver(1, 0, text(1, "x" * 5000))  # an echoed prompt
    assert [len(delta.text) for _, delta in await inbox.take(now())] == [5000]


async def test_an_abort_reaches_the_replica_and_its_answer_tells_what_was_used(scene) -> None:
    servicer, replicas, address = scene
    inbox = Inbox(PATIENCE, now())
    replicas.session(address).start(start(), 0, inbox)
    await servicer.expect("open")
    slot = (await servicer.expect("start")).start.slot
    inbox.abort()
    assert (await servicer.expect("abort")).abort.slot == slot
    assert not await inbox.ended(0)
    servicer.say(end(slot, prompt=5, completion=1))
    assert await inbox.ended(5)
    assert inbox.usage.total_tokens == 6


async def test_a_failure_comes_after_the_text_that_came_before_it(scene) -> None:
    servicer, replicas, address = scene
    inbox = Inbox(PATIENCE, now())
    replicas.session(address).start(start(), 0, inbox)
    await servicer.expect("open")
    slot = (await servicer.expect("start")).start.slot
    failure = errors_pb2.Failure(reason=errors_pb2.ERROR_REASON_ENGINE_FAILED)
    servicer.say(text(slot, "half"), inference_pb2.Delta(slot=slot, failure=failure))
    assert [delta.text for _, delta in await inbox.take(now())] == ["half"]
    with pytest.raises(CapstanError) as caught:
        await inbox.take(now())
    assert caught.value.reason is Reason.ENGINE_FAILED


async def test_a_broken_session_fails_all_its_requests_and_the_next_request_opens_another(scene) -> None:
    servicer, replicas, address = scene
    inboxes = [Inbox(PATIENCE, now()), Inbox(PATIENCE, now())]
    for inbox in inboxes:
        replicas.session(address).start(start(), 0, inbox)
    await servicer.expect("open")
    servicer.frames.put_nowait(None)  # the replica ends the stream
    for inbox in inboxes:
        with pytest.raises(CapstanError) as caught:
            await drain(inbox)
        assert caught.value.reason is Reason.UNAVAILABLE
    fresh = Inbox(PATIENCE, now())
    replicas.session(address).start(start(), 0, fresh)
    while (await servicer.asked.get()).WhichOneof("message") != "open":
        pass
    slot = (await servicer.expect("start")).start.slot
    servicer.say(text(slot, "again"), end(slot))
    assert await drain(fresh) == "again"
    assert servicer.sessions == 2


async def test_a_replica_that_is_not_there_fails_the_request_as_unavailable(tmp_path: Path) -> None:
    replicas = Replicas("gateway-1", LOG, plain)
    inbox = Inbox(PATIENCE, now())
    replicas.session(f"unix:{tmp_path}/nobody.sock").start(start(), 0, inbox)
    with pytest.raises(CapstanError) as caught:
        await drain(inbox)
    assert caught.value.reason is Reason.UNAVAILABLE
    await replicas.close()


async def test_a_late_delta_of_a_request_that_is_over_is_passed_over(scene) -> None:
    servicer, replicas, address = scene
    first, second = Inbox(PATIENCE, now()), Inbox(PATIENCE, now())
    session = replicas.session(address)
    session.start(start(), 0, first)
    await servicer.expect("open")
    old = (await servicer.expect("start")).start.slot
    servicer.say(end(old))
    assert await drain(first) == ""
    session.start(start(), 0, second)
    new = (await servicer.expect("start")).start.slot
    assert new != old
    servicer.say(text(old, "late"), text(new, "mine"), end(new))
    assert await drain(second) == "mine"


@pytest.mark.parametrize(
    ("begun", "silence_s", "fails"), [(False, 59, False), (False, 61, True), (True, 29, False), (True, 31, True)]
)
async def test_silence_is_borne_as_long_as_patience_says(begun: bool, silence_s: float, fails: bool) -> None:
    inbox = Inbox(PATIENCE, 0.0)
    inbox.attach(1, Nowhere())
    if begun:
        inbox.deliver(1, 0, text(1, "a"))
        await inbox.take(0.0)
    waiting = asyncio.create_task(inbox.take(100.0))
    await asyncio.sleep(0)
    inbox.sweep(100.0 + silence_s)
    await asyncio.sleep(0)
    if fails:
        with pytest.raises(CapstanError) as caught:
            await waiting
        assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    else:
        assert not waiting.done()
        waiting.cancel()


async def test_a_time_in_which_nobody_listened_is_no_silence_of_the_replica() -> None:
    inbox = Inbox(PATIENCE, 0.0)
    inbox.attach(1, Nowhere())
    waiting = asyncio.create_task(inbox.take(0.0))
    await asyncio.sleep(0)
    inbox.sweep(100.0, deaf_s=99.0)  # frozen, and woken by the clock before anything could be read
    inbox.deliver(1, 0, text(1, "It spoke all the time."))
    assert len(await waiting) == 1


async def test_a_request_that_lives_too_long_is_ended_even_while_tokens_come() -> None:
    aborted: list[int] = []

    class Recorder:
        begun = True

        def abort(self, slot: int) -> None:
            aborted.append(slot)

    inbox = Inbox(PATIENCE, 0.0)
    inbox.attach(1, Recorder())
    inbox.deliver(1, 0, text(1, "a"))
    inbox.sweep(601.0)
    assert aborted == [1]
    assert len(await inbox.take(601.0)) == 1
    with pytest.raises(CapstanError):
        await inbox.take(601.0)
