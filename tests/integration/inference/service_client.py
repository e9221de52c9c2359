"""The inference service over real gRPC, with the simulator as its engine, and a gateway's end of a session with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc

from capstan.inference.v1 import inference_pb2 as pb
from capstan.inference.v1 import inference_pb2_grpc
from chassis.clock import ManualClock
from chassis.errors import CapstanError, from_failure
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
