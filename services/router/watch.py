"""Listens to one replica for as long as the router lives, and says what it hears."""

from __future__ import annotations

import logging
from collections.abc import Callable

import grpc

from capstan.inference.v1 import inference_pb2, inference_pb2_grpc
from chassis.clock import Clock
from chassis.errors import CapstanError, unavailable
from chassis.kit import Connect
from chassis.rpc_client import call, translate
from services.router.load import Load
from services.router.models import Catalogue
from services.router.pools import Replicas
from services.router.replicas import Description, Kind, Replica

NAME = "inference"
"""In every replica's certificate: replicas are called by their addresses, which no certificate can know."""

_DESCRIBE_TIMEOUT_S = 2.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0


class Watch:
    """The ear for one replica. A broken stream is asked for again after 0.1 s, at the most after 1 s.

    Silence needs no clock here: what is known of a replica ages out by itself, and a peer that is gone without a word
    is noticed by the channel's keepalive, which breaks the stream.
    """

    def __init__(
        self,
        replica: Replica,
        replicas: Replicas,
        catalogue: Catalogue,
        changed: Callable[[], None],
        *,
        interval_s: float,
        clock: Clock,
        log: logging.Logger,
        connect: Connect,
    ) -> None:
        """`changed` is called when the replica has said something."""
        self._connect = connect
        self._replica = replica
        self._replicas = replicas
        self._catalogue = catalogue
        self._changed = changed
        self._interval_s = interval_s
        self._clock = clock
        self._log = log
        self._pause_s = _FIRST_PAUSE_S

    async def run(self) -> None:
        """Listen. Never returns."""
        async with self._connect(self._replica.address, NAME) as channel:
            stub = inference_pb2_grpc.InferenceServiceStub(channel)
            while True:
                try:
                    await self._listen(stub)
                except CapstanError as error:
                    self._note_loss(error)
                await self._clock.sleep(self._pause_s)
                self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    async def _listen(self, stub: inference_pb2_grpc.InferenceServiceStub) -> None:
        """Hear a replica out. Raises `CapstanError` when it cannot be heard any more."""
        request = inference_pb2.DescribeModelRequest()
        told = await call(stub.DescribeModel, request, timeout_s=_DESCRIBE_TIMEOUT_S, peer=self._replica.id)
        description = read_description(told)
        self._replicas.describe(self._replica, description)
        self._catalogue.learn(description, self._clock.now())
        watch = inference_pb2.WatchLoadRequest()
        watch.max_interval.FromNanoseconds(round(self._interval_s * 1e9))
        try:
            async for load in stub.WatchLoad(watch):
                if not self._replica.connected:
                    self._log.info("replica is there", extra=self._named)
                self._pause_s = _FIRST_PAUSE_S
                self._replicas.report(self._replica, read_load(load), self._clock.monotonic())
                self._changed()
        except grpc.aio.AioRpcError as error:
            raise translate(error, self._replica.id) from None
        raise unavailable(self._replica.id, "it ended its report")

    def _note_loss(self, error: CapstanError) -> None:
        if self._replica.connected:
            self._log.warning("replica is not heard any more: %s", error, extra=self._named)
        self._replica.lost()

    @property
    def _named(self) -> dict[str, str]:
        return {"replica_id": self._replica.id}


def read_description(message: inference_pb2.DescribeModelResponse) -> Description:
    """Read what a replica serves."""
    kinds = {Kind.GENERATE: message.generates, Kind.EMBED: message.embeds}
    able = frozenset(kind for kind, able in kinds.items() if able)
    return Description(
        message.model, able, message.max_model_tokens, message.fingerprint, max(0, message.max_adapter_count)
    )


def read_load(message: inference_pb2.WatchLoadResponse) -> Load:
    """Read a report; a number that cannot be is taken for the nearest that can."""
    return Load(
        running_count=max(0, message.running_count),
        waiting_count=max(0, message.waiting_count),
        kv_usage=min(1.0, max(0.0, message.kv_usage)),
        accepting=message.accepting,
        stalled_s=message.stalled_for.ToNanoseconds() / 1e9 if message.HasField("stalled_for") else None,
        slots=max(0, message.max_running_count),
        generated_tokens=max(0, message.generated_tokens),
        prefix_query_tokens=max(0, message.prefix_query_tokens),
        prefix_hit_tokens=max(0, message.prefix_hit_tokens),
        adapters=frozenset(message.adapters),
        idle_s=message.idle_for.ToNanoseconds() / 1e9 if message.HasField("idle_for") else None,
    )
