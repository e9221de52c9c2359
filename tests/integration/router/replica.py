"""A replica as the router sees one: a real gRPC server that describes itself and reports what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from capstan.inference.v1 import inference_pb2, inference_pb2_grpc


class ScriptedReplica(inference_pb2_grpc.InferenceServiceServicer):
    """Knobs: `description`, `load`, `answers` (False: DescribeModel fails), and `hang_up` to end the report."""

    def __init__(self, model: str, **description: Any) -> None:
        self.description = inference_pb2.DescribeModelResponse(
            **({"model": model, "generates": True, "max_model_tokens": 4096, "fingerprint": "fp_1"} | description)
        )
        self.answers = True
        self.intervals: list[float] = []
        self._load = inference_pb2.WatchLoadResponse(accepting=True, max_running_count=8)
        self._changed = asyncio.Condition()
        self._hung_up = False
        self._version = 0

    async def say(self, *, stalled_s: float | None = None, idle_s: float | None = None, **changes: Any) -> None:
        """Report a changed load to whoever listens."""
        async with self._changed:
            for name, value in changes.items():
                setattr(self._load, name, value)
            if stalled_s is not None:
                self._load.stalled_for.CopyFrom(Duration(seconds=round(stalled_s)))
            if idle_s is not None:
                self._load.idle_for.CopyFrom(Duration(seconds=round(idle_s)))
            self._version += 1
            self._changed.notify_all()

    async def hang_up(self) -> None:
        """End every report."""
        async with self._changed:
            self._hung_up = True
            self._changed.notify_all()

    async def DescribeModel(
        self, request: inference_pb2.DescribeModelRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> inference_pb2.DescribeModelResponse:
        if not self.answers:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "loading")
        return self.description

    async def WatchLoad(
        self, request: inference_pb2.WatchLoadRequest, context: object
    ) -> AsyncIterator[inference_pb2.WatchLoadResponse]:
        self.intervals.append(request.max_interval.ToNanoseconds() / 1e9)
        self._hung_up = False
        while not self._hung_up:
            seen = self._version
            yield self._load
            async with self._changed:
                await self._changed.wait_for(lambda seen=seen: self._hung_up or self._version != seen)


@asynccontextmanager
async def serving(replica: ScriptedReplica, path: Path) -> AsyncIterator[str]:
    """Serve `replica` on a socket; answer its address."""
    server = grpc.aio.server()
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(replica, server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield f"unix:{path}"
    finally:
        await server.stop(0)
