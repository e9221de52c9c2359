"""Models that sleep: a whole router, the real Kubernetes client, and an API server that scales nothing by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from capstan.inference.v1 import inference_pb2_grpc
from capstan.router.v1 import router_pb2, router_pb2_grpc
from chassis.clock import ManualClock
from chassis.rpc_client import connect
from chassis.testing import running
from services.router.app import build
from services.router.deployments import Deployments, ScaleConflictError, ScaleError
from services.router.settings import Settings, Sleep
from services.router.sleep import Scale
from tests.integration.router.kube_api import KubeApi
from tests.integration.router.replica import ScriptedReplica

client = pytest.importorskip("kubernetes.client", reason="the Kubernetes client is an extra")

DEPLOYMENT = "capstan-model-chat"
SETTINGS = Settings(
    endpoint_slices="app.kubernetes.io/name=inference",
    endpoint_slices_namespace="models",
    expected_models={"chat": "generate", "small": "generate"},
    fallbacks={"chat": ("small",)},
    may_sleep={"chat": Sleep(deployment=DEPLOYMENT, idle_s=60)},
)


@contextlib.asynccontextmanager
async def pod(replica: ScriptedReplica) -> AsyncIterator[str]:
    """Run a replica as a pod; answer `address:port`."""
    server = grpc.aio.server()
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(replica, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubeApi]:
    """An API server that a pod's service account leads to."""
    made = KubeApi()
    made.wanted = {DEPLOYMENT: 0, "capstan-gateway": 1}
    async with made.serving() as port:
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{port}"
        configuration.retries = False

        def load(client_configuration: Any = None) -> None:
            client.Configuration.set_default(configuration)

        monkeypatch.setattr("kubernetes.config.load_incluster_config", load)
        yield made
        client.Configuration.set_default(None)


class Routers:
    """Routers of one cluster, each with a clock that goes on while something is awaited."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.clocks = [ManualClock() for _ in range(count)]
        self.stubs: list[router_pb2_grpc.RouterServiceStub] = []

    async def __aenter__(self) -> Routers:
        self._stack = contextlib.AsyncExitStack()
        for clock in self.clocks:
            service = await self._stack.enter_async_context(running("router", build, SETTINGS, clock=clock))
            channel = await self._stack.enter_async_context(connect(service.address))
            self.stubs.append(router_pb2_grpc.RouterServiceStub(channel))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def wait(self, number: int = 0, request_id: str = "req_1") -> asyncio.Task[router_pb2.QueueResponse]:
        """Let a request wait for the model at one of them."""
        request = router_pb2.QueueRequest(item=item(request_id))
        request.max_wait.FromSeconds(600)

        async def queued() -> router_pb2.QueueResponse:
            answer: router_pb2.QueueResponse = await self.stubs[number].Queue(request, timeout=60)
            return answer

        return asyncio.ensure_future(queued())

    async def until(self, api: KubeApi, *scalings: int) -> None:
        """Let time pass until the Deployment was scaled so, and then some, so that one more would be seen."""
        wanted = [(DEPLOYMENT, count) for count in scalings]
        async with asyncio.timeout(20):
            while api.scalings != wanted:
                assert len(api.scalings) <= len(wanted), api.scalings
                await self.pass_time(0.2)
        await self.pass_time(3)
        assert api.scalings == wanted

    async def pass_time(self, seconds: float) -> None:
        for clock in self.clocks:
            await clock.advance(seconds)
        await asyncio.to_thread(lambda: None)  # calls of the client run in threads


def item(request_id: str) -> router_pb2.PlaceItem:
    return router_pb2.PlaceItem(
        request_id=request_id, model="chat", kind=router_pb2.MODEL_KIND_GENERATE, prompt_tokens=10
    )


async def test_a_request_wakes_its_model_is_answered_and_the_model_falls_asleep_again(api: KubeApi) -> None:
    replica = ScriptedReplica("chat")
    async with pod(replica) as address, Routers(2) as routers:
        waiting = routers.wait(1)
        await routers.until(api, 1)
        assert not waiting.done()
        await api.put("chat-abc", ("chat-0", address, True))  # the pod is ready
        async with asyncio.timeout(20):
            while not waiting.done():
                await routers.pass_time(0.2)
        assert waiting.result().result.placement.replica_id == "chat-0"
        await replica.say(running_count=1, idle_s=0)
        release = router_pb2.ReleaseItem(request_id="req_1", outcome=router_pb2.REPLICA_OUTCOME_OK)
        await routers.stubs[1].Release(router_pb2.ReleaseRequest(items=[release]))
        await replica.say(running_count=0, idle_s=59)
        await routers.until(api, 1)
        await replica.say(idle_s=61)
        await routers.until(api, 1, 0)
        await api.delete("chat-abc")
        again = routers.wait(0, "req_2")
        await routers.until(api, 1, 0, 1)
        again.cancel()
        await asyncio.wait([again])


async def test_a_request_that_another_model_serves_wakes_its_own(api: KubeApi) -> None:
    small = ScriptedReplica("small")
    async with pod(small) as address, Routers() as routers:
        await api.put("small-abc", ("small-0", address, True))
        request = router_pb2.PlaceRequest(items=[item("req_1")])
        async with asyncio.timeout(20):
            while (answer := await routers.stubs[0].Place(request)).results[0].HasField("refusal"):
                pass
        assert answer.results[0].placement.model == "small"
        await routers.until(api, 1)


async def test_without_the_right_to_it_the_model_stays_asleep_and_the_router_serves_on(
    api: KubeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.forbidden = {DEPLOYMENT}
    async with Routers() as routers:
        waiting = routers.wait()
        with caplog.at_level(logging.WARNING):
            async with asyncio.timeout(20):
                while "403" not in caplog.text:
                    await routers.pass_time(0.2)
        answer = await routers.stubs[0].ListModels(router_pb2.ListModelsRequest())
        assert {model.name for model in answer.models} == {"chat", "small"}
        assert api.scalings == []
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_a_scale_is_changed_only_as_it_was_seen() -> None:
    api = KubeApi()
    api.wanted = {DEPLOYMENT: 0}
    async with api.serving() as port:
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{port}"
        with client.ApiClient(configuration) as connection:
            deployments = Deployments(connection, "models")
            seen = await deployments.scale(DEPLOYMENT)
            assert seen == Scale(0, 0, "1")
            await deployments.set_count(DEPLOYMENT, 1, seen.version)
            assert await deployments.scale(DEPLOYMENT) == Scale(1, 1, "2")
            with pytest.raises(ScaleConflictError):
                await deployments.set_count(DEPLOYMENT, 0, seen.version)
            with pytest.raises(ScaleError, match="404"):
                await deployments.scale("gone")


async def test_an_api_server_that_is_away_is_an_error_that_says_so() -> None:
    api = KubeApi()
    async with api.serving() as port:
        pass
    configuration = client.Configuration()
    configuration.host = f"http://127.0.0.1:{port}"
    configuration.retries = False
    with client.ApiClient(configuration) as connection, pytest.raises(ScaleError):
        await Deployments(connection, "models").scale(DEPLOYMENT)
