"""Inference: one session per replica, over which all requests of this gateway travel.

A replica sends a frame per engine step with the news of every request it runs for us; a session's reader hands each
delta to its request's inbox. One read and one wake-up per step and request, whatever the number of tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

import grpc

from capstan.inference.v1 import inference_pb2, inference_pb2_grpc
from chassis.errors import CapstanError, unavailable
from chassis.kit import Connect
from chassis.rpc_client import call, translate
from services.gateway.deltas import Usage
from services.gateway.peers.calls import waited_for
from services.gateway.peers.inbox import BEGUN, Inbox

SWEEP_S = 0.5

PAUSE_S = 1.0
"""A sweep that comes later than this was held up by ourselves: a frozen process, a machine that was moved."""

NAME = "inference"
"""In every replica's certificate: replicas are called by their addresses, which no certificate can know."""

Start = inference_pb2.Start


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
        self.begun = False
        """Whether the replica has answered."""
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
                self.begun = True
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
        if self.begun:
            error.metadata[BEGUN] = "true"
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
            due = loop.time() + SWEEP_S
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            deaf_s = now - due if now - due > PAUSE_S else 0.0
            for _, inbox in list(self._slots.values()):
                inbox.sweep(now, deaf_s)

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
        request = inference_pb2.EmbedRequest(
            request_id=request_id,
            organization_id=organization_id,
            inputs=[_embed_input(item) for item in inputs],
            dimensions=dimensions,
            admission=admission,
        )
        answer: inference_pb2.EmbedResponse = await waited_for(
            call(self._stub(address).Embed, request, timeout_s=timeout_s, peer="inference")
        )
        return list(answer.embeddings), Usage(prompt_tokens=answer.usage.prompt_tokens)

    def is_connected(self, address: str) -> bool:
        """Say whether a replica that makes vectors was reached."""
        channel = self._channels.get(address)
        return channel is not None and channel.get_state() is grpc.ChannelConnectivity.READY

    async def count_tokens(self, address: str, chat: inference_pb2.ChatPrompt, timeout_s: float) -> int:
        """Count the tokens of a conversation's prompt. Raises `CapstanError`."""
        request = inference_pb2.CountTokensRequest(chat=chat)
        answer: inference_pb2.CountTokensResponse = await waited_for(
            call(self._stub(address).CountTokens, request, timeout_s=timeout_s, peer="inference")
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
