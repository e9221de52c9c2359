"""A Kubernetes API server as far as a router asks one, as JSON over HTTP.

It lists and watches EndpointSlices, and reads and patches the scale of Deployments.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATH = "/apis/discovery.k8s.io/v1/namespaces/models/endpointslices"
SCALE = re.compile(r"/apis/apps/v1/namespaces/models/deployments/([^/]+)/scale")


class KubeApi:
    """Knobs: `put`, `delete`, `end_watches` (as a real one does now and then), `expire` (410 to the next watch).

    `wanted` are the pods that each Deployment shall have and, here, has; `scalings` are the changes to them, and
    `forbidden` those that nobody may touch.
    """

    def __init__(self) -> None:
        self.slices: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, list[str]]] = []
        self.expire = False
        self.wanted: dict[str, int] = {}
        self.scalings: list[tuple[str, int]] = []
        self.forbidden: set[str] = set()
        self._version = 10
        self._events: list[tuple[int, str, dict[str, Any]]] = []
        self._changed = asyncio.Condition()
        self._generation = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, name: str, *endpoints: tuple[str, str, bool]) -> None:
        """Have a slice of these endpoints: pod, address, ready."""
        kind = "MODIFIED" if name in self.slices else "ADDED"
        self.slices[name] = {
            "metadata": {"name": name, "resourceVersion": str(self._version + 1)},
            "addressType": "IPv4",
            "ports": [{"name": "grpc", "port": int(endpoints[0][1].rpartition(":")[2])}] if endpoints else None,
            "endpoints": [
                {
                    "addresses": [address.rpartition(":")[0]],
                    "conditions": {"ready": ready},
                    "targetRef": {"kind": "Pod", "name": pod},
                }
                for pod, address, ready in endpoints
            ]
            or None,
        }
        await self._tell(kind, self.slices[name])

    async def delete(self, name: str) -> None:
        await self._tell("DELETED", self.slices.pop(name))

    async def end_watches(self) -> None:
        async with self._changed:
            self._generation += 1
            self._changed.notify_all()

    async def _tell(self, kind: str, told: dict[str, Any]) -> None:
        async with self._changed:
            self._version += 1
            self._events.append((self._version, kind, told))
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    method, target = head.split()[:2]
                    length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
                    sent = json.loads(await reader.readexactly(int(length[1]))) if length else None
                    query = parse_qs(urlsplit(target).query)
                    if scaled := SCALE.fullmatch(urlsplit(target).path):
                        await self._whole(writer, *self._scale(method, scaled[1], sent, head))
                        continue
                    self.asked.append(query)
                    if urlsplit(target).path != PATH:
                        await self._whole(writer, 404, {"kind": "Status", "code": 404})
                    elif "watch" in query:
                        await self._watch(writer, int(query["resourceVersion"][0]))
                    else:
                        metadata = {"resourceVersion": str(self._version)}
                        await self._whole(writer, 200, {"metadata": metadata, "items": list(self.slices.values())})
        finally:
            writer.close()
            self._tasks.discard(task)

    def _scale(self, method: str, name: str, sent: Any, head: str) -> tuple[int, dict[str, Any]]:
        if name not in self.wanted or name in self.forbidden:
            code = 403 if name in self.forbidden else 404
            return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
        if method == "PATCH":
            if "application/merge-patch+json" not in head:
                return 415, {"kind": "Status", "code": 415}
            if sent["metadata"]["resourceVersion"] != self._version_of(name):
                return 409, {"kind": "Status", "code": 409, "reason": "Conflict"}
            self.wanted[name] = sent["spec"]["replicas"]
            self.scalings.append((name, self.wanted[name]))
        count = self.wanted[name]
        return 200, {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {"name": name, "namespace": "models", "resourceVersion": self._version_of(name)},
            "spec": {"replicas": count} if count else {},  # zero is left out
            "status": {"replicas": count},
        }

    def _version_of(self, name: str) -> str:
        return str(sum(each == name for each, _ in self.scalings) + 1)

    async def _whole(self, writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} .\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
        writer.write(head.encode() + raw)
        await writer.drain()

    async def _watch(self, writer: asyncio.StreamWriter, since: int) -> None:
        writer.write(b"HTTP/1.1 200 .\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        if self.expire:
            self.expire = False
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            self._line(writer, "ERROR", gone)
        else:
            generation = self._generation
            while generation == self._generation:
                for version, kind, told in self._events:
                    if version > since:
                        since = version
                        self._line(writer, kind, told)
                await writer.drain()
                async with self._changed:
                    await self._changed.wait_for(
                        lambda since=since: self._version > since or generation != self._generation
                    )
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _line(self, writer: asyncio.StreamWriter, kind: str, told: dict[str, Any]) -> None:
        raw = json.dumps({"type": kind, "object": told}).encode() + b"\n"
        writer.write(b"%x\r\n%s\r\n" % (len(raw), raw))

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
