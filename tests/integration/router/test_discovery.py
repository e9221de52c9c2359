"""Discovery with the real Kubernetes client against a server that lists and watches as Kubernetes does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from services.router.discovery import Discovery
from tests.integration.router.kube_api import KubeApi

client = pytest.importorskip("kubernetes.client", reason="the Kubernetes client is an extra")


class Heard:
    """What discovery told last."""

    def __init__(self) -> None:
        self.places: dict[str, str] | None = None
        self._news = asyncio.Event()

    def tell(self, places: Mapping[str, str]) -> None:
        self.places = dict(places)
        self._news.set()

    async def until(self, holds: Callable[[dict[str, str]], bool]) -> None:
        async with asyncio.timeout(20):
            while self.places is None or not holds(self.places):
                await self._news.wait()
                self._news.clear()


@contextlib.asynccontextmanager
async def discovering(port: int) -> AsyncIterator[Heard]:
    configuration = client.Configuration()
    configuration.host = f"http://127.0.0.1:{port}"
    configuration.retries = False
    heard = Heard()
    with client.ApiClient(configuration) as api:
        discovery = Discovery(
            client.DiscoveryV1Api(api),
            namespace="models",
            selector="app.kubernetes.io/name=inference",
            port_name="grpc",
            tell=heard.tell,
            log=logging.getLogger("test"),
        )
        task = asyncio.create_task(discovery.run())
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_replicas_are_listed_and_then_followed() -> None:
    api = KubeApi()
    await api.put("chat-abc", ("chat-0", "10.0.0.1:9000", True), ("chat-1", "10.0.0.2:9000", False))
    async with api.serving() as port, discovering(port) as heard:
        await heard.until(lambda places: places == {"chat-0": "10.0.0.1:9000"})
        await api.put("chat-abc", ("chat-0", "10.0.0.1:9000", False), ("chat-1", "10.0.0.2:9000", True))
        await heard.until(lambda places: places == {"chat-1": "10.0.0.2:9000"})
        await api.put("vectors-abc", ("vectors-0", "10.0.0.3:9000", True))
        await heard.until(lambda places: set(places) == {"chat-1", "vectors-0"})
        await api.put("chat-abc")  # no endpoints: null on the wire
        await heard.until(lambda places: set(places) == {"vectors-0"})
        await api.delete("vectors-abc")
        await heard.until(lambda places: places == {})
        assert {query["labelSelector"][0] for query in api.asked} == {"app.kubernetes.io/name=inference"}


async def test_a_watch_that_ends_or_is_too_old_is_followed_by_another() -> None:
    api = KubeApi()
    await api.put("chat-abc", ("chat-0", "10.0.0.1:9000", True))
    async with api.serving() as port, discovering(port) as heard:
        await heard.until(lambda places: set(places) == {"chat-0"})
        api.expire = True
        await api.end_watches()
        await api.put("chat-abc", ("chat-1", "10.0.0.2:9000", True))
        await heard.until(lambda places: set(places) == {"chat-1"})


async def test_while_the_api_server_is_away_what_was_known_stays() -> None:
    api = KubeApi()
    await api.put("chat-abc", ("chat-0", "10.0.0.1:9000", True))
    async with contextlib.AsyncExitStack() as stack:
        async with api.serving() as port:
            heard = await stack.enter_async_context(discovering(port))
            await heard.until(lambda places: set(places) == {"chat-0"})
        assert heard.places == {"chat-0": "10.0.0.1:9000"}
        await api.put("chat-abc", ("chat-0", "10.0.0.1:9000", True), ("chat-1", "10.0.0.2:9000", True))
        async with api.serving(port):
            await heard.until(lambda places: set(places) == {"chat-0", "chat-1"})
