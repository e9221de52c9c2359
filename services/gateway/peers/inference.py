"""Inference: one session per replica, over which all requests of this gateway travel.

A replica sends a frame per engine step with the news of every request it runs for us; a session's reader hands each
delta to its request's inbox. One read and one wake-up per step and request, whatever the number of tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from capstan.inference.v1 import inference_pb2, inference_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.errors import CapstanError, Reason, from_failure, unavailable
from chassis.kit import Connect
from chassis.rpc_client import call, translate
from services.gateway.deltas import Delta, Usage

SWEEP_S = 0.5
NAME = "inference"
"""In every replica's certificate: replicas are called by their addresses, which no certificate can know."""

Start = inference_pb2.Start


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request waits for its replica, seconds, and how much text may wait for its client, bytes."""

    first_token_s: float
    idle_s: float
    request_s: float
    buffer_bytes: int


class Inbox:
    """What arrived for one request and was not taken yet.

    A request may run in several slots (one per prompt); their choices are numbered through by each slot's base.
    """

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._news: list[tuple[int, Delta]] = []
        self._waiter: asyncio.Future[None] | None = None
        self._waiting_since = now
        self._deadline = now + patience.request_s
        self._buffered_bytes = 0
        self._failure: CapstanError | None = None
        self._open_slots: dict[int, Session] = {}
        self._ended = asyncio.Event()
        self._begun = False
        self.usage = Usage()
        """Sum over the slots that have ended."""

    def attach(self, slot: int, session: Session) -> None:
        """Expect deltas of `slot`."""
        self._open_slots[slot] = session

    @property
    def finished(self) -> bool:
        """True when every slot ended well and all was taken."""
        return not self._open_slots and not self._news and self._failure is None

    async def take(self, now: float) -> list[tuple[int, Delta]]:
        """Answer all news, waiting for some; empty when there will be none. Each comes with its slot's base choice.

        Raises `CapstanError` when the request failed and all that arrived before was taken.
        """
        while not self._news:
            if self._failure is not None:
                raise self._failure
            if not self._open_slots:
                return []
            self._waiting_since = now
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        news, self._news = self._news, []
        self._buffered_bytes = 0
        self._begun = True
        return news

    def deliver(self, slot: int, base: int, delta: inference_pb2.Delta) -> bool:
        """Take one delta in; answer whether it was the slot's last."""
        last = False
        if delta.HasField("failure"):
            self.fail(from_failure(delta.failure))
            last = True
        else:
            self._news.append((base, delta))
            self._buffered_bytes += len(delta.text)
            if self._buffered_bytes > self._patience.buffer_bytes:
                self.fail(
                    CapstanError(Reason.DEADLINE_EXCEEDED, "the client does not read its stream", service="client")
                )
            if delta.HasField("finish"):
                self._add(delta.finish.usage)
                last = True
        if last:
            self._open_slots.pop(slot, None)
            if not self._open_slots:
                self._ended.set()
        self._wake()
        return last

    def _add(self, usage: usage_pb2.TokenUsage) -> None:
        self.usage = Usage(
            self.usage.prompt_tokens + usage.prompt_tokens,
            self.usage.cached_prompt_tokens + usage.cached_prompt_tokens,
            self.usage.completion_tokens + usage.completion_tokens,
            self.usage.reasoning_tokens + usage.reasoning_tokens,
        )

    def fail(self, error: CapstanError) -> None:
        """End the request with `error`; what runs is aborted. Only the first failure counts."""
        if self._failure is None:
            self._failure = error
        self.abort()
        self._wake()

    def abort(self) -> None:
        """Stop what still runs on the replicas; its usage is still collected when it comes."""
        for slot, session in list(self._open_slots.items()):
            session.abort(slot)

    def lost(self, slot: int, error: CapstanError) -> None:
        """The slot's session broke: nothing more will come of it."""
        self._open_slots.pop(slot, None)
        if self._failure is None:
            self._failure = error
        if not self._open_slots:
            self._ended.set()
        self._wake()

    def sweep(self, now: float) -> None:
        """Fail when the replica has been silent, or the request has lived, too long."""
        if now > self._deadline:
            self.fail(
                CapstanError(Reason.DEADLINE_EXCEEDED, "the request ran too long", service="inference", limit="request")
            )
        elif self._waiter is not None and not self._news:
            patience = self._patience.idle_s if self._begun else self._patience.first_token_s
            if now - self._waiting_since > patience:
                self.fail(CapstanError(Reason.DEADLINE_EXCEEDED, "no token came in time", service="inference"))

    async def ended(self, within_s: float) -> bool:
        """Wait until no slot is open; answer whether that was so in time, so that `usage` is the engine's own."""
        try:
            async with asyncio.timeout(within_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Session:
    """One stream to one replica."""

    def __init__(self, address: str, channel: grpc.aio.Channel, gateway_id: str, log: logging.Logger) -> None:
        self._address = address
        self._log = log
        self._channel = channel
        self._stub = inference_pb2_grpc.InferenceServiceStub(self._channel)
        self._slots: dict[int, tuple[int, Inbox]] = {}
        self._next_slot = 0
        self._outgoing: deque[inference_pb2.SessionRequest] = deque()
        self._wake_writer = asyncio.Event()
        self.broken: CapstanError | None = None
        self._send(inference_pb2.SessionRequest(open=inference_pb2.Open(gateway_id=gateway_id)))
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"session {address}")

    def start(self, start: Start, base: int, inbox: Inbox) -> None:
        """Run `start` in a slot of its own; its deltas go to `inbox`. Slot numbers are never used twice."""
        if self.broken is not None:
            raise self.broken
        slot = self._next_slot
        self._next_slot += 1
        self._slots[slot] = (base, inbox)
        inbox.attach(slot, self)
        start.slot = slot
        self._send(inference_pb2.SessionRequest(start=start))

    def abort(self, slot: int) -> None:
        """Ask the replica to stop a slot. It answers with the slot's last delta."""
        if slot in self._slots:
            self._send(inference_pb2.SessionRequest(abort=inference_pb2.Abort(slot=slot)))

    def _send(self, message: inference_pb2.SessionRequest) -> None:
        self._outgoing.append(message)
        self._wake_writer.set()

    async def _live(self) -> None:
        stream = self._stub.Session()
        helpers = [
            asyncio.get_running_loop().create_task(self._write(stream), name=f"session writer {self._address}"),
            asyncio.get_running_loop().create_task(self._sweep(), name=f"session sweeper {self._address}"),
        ]
        error = unavailable("inference", "the replica closed the session")
        try:
            async for frame in stream:
                for delta in frame.deltas:
                    slot = delta.slot
                    entry = self._slots.get(slot)
                    if entry is not None and entry[1].deliver(slot, entry[0], delta):
                        del self._slots[slot]
        except grpc.aio.AioRpcError as failure:
            error = translate(failure, "inference")
        except asyncio.CancelledError:
            error = unavailable("inference", "the gateway closes")
            raise
        finally:
            for helper in helpers:
                helper.cancel()
            self._break(error)

    def _break(self, error: CapstanError) -> None:
        self.broken = error
        if self._slots:
            self._log.warning("session with %s broke with %d requests: %s", self._address, len(self._slots), error)
        slots, self._slots = self._slots, {}
        for slot, (_, inbox) in slots.items():
            inbox.lost(slot, error)

    async def _write(
        self, stream: grpc.aio.StreamStreamCall[inference_pb2.SessionRequest, inference_pb2.SessionResponse]
    ) -> None:
        while True:
            await self._wake_writer.wait()
            self._wake_writer.clear()
            while self._outgoing:
                await stream.write(self._outgoing.popleft())

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for _, inbox in list(self._slots.values()):
                inbox.sweep(now)

    async def close(self) -> None:
        """Break the session and let go of the connection."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._channel.close()


class Replicas:
    """All sessions of this gateway, by address."""

    def __init__(self, gateway_id: str, log: logging.Logger, connect: Connect) -> None:
        self._connect = connect
        self._gateway_id = gateway_id
        self._log = log
        self._sessions: dict[str, Session] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def session(self, address: str) -> Session:
        """Answer the session with a replica, opening one when there is none that works."""
        session = self._sessions.get(address)
        if session is None or session.broken is not None:
            if session is not None:
                task = asyncio.get_running_loop().create_task(session.close(), name="close a broken session")
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            session = self._sessions[address] = Session(
                address, self._connect(address, NAME), self._gateway_id, self._log
            )
        return session

    async def embed(
        self,
        address: str,
        request_id: str,
        organization_id: str,
        inputs: Sequence[str | list[int]],
        dimensions: int,
        admission: bytes,
        timeout_s: float,
    ) -> tuple[list[bytes], Usage]:
        """Make one vector per input: little-endian float32 of length 1. Raises `CapstanError`.

        `admission` is what billing is told by the replica beside its count.
        """
        answer: inference_pb2.EmbedResponse = await call(
            self._stub(address).Embed,
            inference_pb2.EmbedRequest(
                request_id=request_id,
                organization_id=organization_id,
                inputs=[_embed_input(item) for item in inputs],
                dimensions=dimensions,
                admission=admission,
            ),
            timeout_s=timeout_s,
            peer="inference",
        )
        return list(answer.embeddings), Usage(prompt_tokens=answer.usage.prompt_tokens)

    async def count_tokens(self, address: str, chat: inference_pb2.ChatPrompt, timeout_s: float) -> int:
        """Count the tokens of a conversation's prompt. Raises `CapstanError`."""
        answer: inference_pb2.CountTokensResponse = await call(
            self._stub(address).CountTokens,
            inference_pb2.CountTokensRequest(chat=chat),
            timeout_s=timeout_s,
            peer="inference",
        )
        return answer.token_count

    def _stub(self, address: str) -> inference_pb2_grpc.InferenceServiceStub:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = self._connect(address, NAME)
        return inference_pb2_grpc.InferenceServiceStub(channel)

    async def close(self) -> None:
        """Close all."""
        for session in self._sessions.values():
            await session.close()
        for channel in self._channels.values():
            await channel.close()
        if self._closing:
            await asyncio.wait(self._closing)


def _embed_input(item: str | list[int]) -> inference_pb2.EmbedInput:
    if isinstance(item, str):
        return inference_pb2.EmbedInput(text=item)
    return inference_pb2.EmbedInput(tokens=inference_pb2.TokenPrompt(token_ids=item))
