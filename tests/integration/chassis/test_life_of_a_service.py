"""The runner, with a real small service on real sockets: ready, drain, failures, errors over the wire."""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from capstan.moderation.v1 import moderation_pb2, moderation_pb2_grpc
from chassis.errors import CapstanError, Reason
from chassis.kit import Kit
from chassis.rpc_client import call, connect
from chassis.run import Stop, StoppedWhileStartingError, serve
from chassis.settings import ServiceSettings, service_config
from chassis.sockets import AddressError, listen
from chassis.testing import running


class Settings(ServiceSettings):
    model_config = service_config("echo")


class Echo(moderation_pb2_grpc.ModerationServiceServicer):
    """Classifies nothing: answers, fails, or waits, as the first text says."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()

    async def Classify(self, request, context):
        word = request.items[0].texts[0]
        if word == "refuse":
            raise CapstanError(Reason.OVERLOADED, "full", retry_after_ms="250")
        if word == "crash":
            raise ValueError("a secret detail")
        if word == "wait":
            self.arrived.set()
            await self.go_on.wait()
        return moderation_pb2.ClassifyResponse(classifier=word)


def build_with(echo: Echo, work=None):
    @contextlib.asynccontextmanager
    async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
        moderation_pb2_grpc.add_ModerationServiceServicer_to_server(echo, kit.server)
        if work is not None:
            kit.tasks.spawn("work", work())
        yield

    return build


@contextlib.asynccontextmanager
async def client(address: str):
    channel = connect(address)
    try:
        yield channel
    finally:
        await channel.close()


async def classify(channel: grpc.aio.Channel, word: str, timeout_s: float = 5.0):
    stub = moderation_pb2_grpc.ModerationServiceStub(channel)
    request = moderation_pb2.ClassifyRequest(items=[moderation_pb2.ClassifyItem(texts=[word])])
    return await call(stub.Classify, request, timeout_s=timeout_s, peer="moderation")


async def get(ops_address: str, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_unix_connection(ops_address.removeprefix("unix:"))
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    raw = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def test_a_call_is_answered_and_counted() -> None:
    async with running("echo", build_with(Echo()), Settings()) as service, client(service.address) as channel:
        assert (await classify(channel, "hello")).classifier == "hello"
        status, metrics = await get(service.ops_address, "/metrics")
        assert status == 200
        method = b"/capstan.moderation.v1.ModerationService/Classify"
        assert b'capstan_rpc_server_handled_total{method="%s",reason="OK"} 1.0' % method in metrics


async def test_a_typed_error_arrives_as_it_was_raised() -> None:
    async with running("echo", build_with(Echo()), Settings()) as service, client(service.address) as channel:
        with pytest.raises(CapstanError) as caught:
            await classify(channel, "refuse")
        assert (caught.value.reason, caught.value.metadata) == (Reason.OVERLOADED, {"retry_after_ms": "250"})


async def test_any_other_exception_arrives_as_internal_without_its_text() -> None:
    async with running("echo", build_with(Echo()), Settings()) as service, client(service.address) as channel:
        with pytest.raises(CapstanError) as caught:
            await classify(channel, "crash")
        assert caught.value.reason is Reason.INTERNAL
        assert "secret" not in str(caught.value)


async def test_a_service_that_is_away_is_unavailable_and_a_slow_one_exceeds_the_deadline() -> None:
    echo = Echo()
    async with running("echo", build_with(echo), Settings()) as service, client(service.address) as channel:
        with pytest.raises(CapstanError) as late:
            await classify(channel, "wait", timeout_s=0.05)
        assert late.value.reason is Reason.DEADLINE_EXCEEDED
        echo.go_on.set()
        address = service.address
    async with client(address) as channel:
        with pytest.raises(CapstanError) as away:
            await classify(channel, "hello", timeout_s=1)
    assert away.value.reason is Reason.UNAVAILABLE
    assert away.value.metadata["service"] == "moderation"


async def test_readiness_is_told_over_http_and_grpc() -> None:
    async with running("echo", build_with(Echo()), Settings()) as service, client(service.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        check = health_pb2.HealthCheckRequest()
        assert (await get(service.ops_address, "/livez"))[0] == 200
        status, body = await get(service.ops_address, "/readyz")
        assert (status, json.loads(body)["ready"]) == (200, True)
        service.kit.readiness.condition("disk").set(False, "full")
        status, body = await get(service.ops_address, "/readyz")
        assert (status, json.loads(body)["waiting_for"]) == (503, {"disk": "full"})
        await asyncio.sleep(0)
        assert (await health.Check(check, timeout=1)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert (await get(service.ops_address, "/nothing"))[0] == 404


async def test_a_running_call_finishes_while_the_service_drains() -> None:
    echo = Echo()
    async with running("echo", build_with(echo), Settings()) as service, client(service.address) as channel:
        running_call = asyncio.create_task(classify(channel, "wait"))
        await echo.arrived.wait()
        service.stop.ask()
        # Not ready at once, still answering the call that was there.
        while (await get(service.ops_address, "/readyz"))[0] != 503:
            await asyncio.sleep(0)
        echo.go_on.set()
        assert (await running_call).classifier == "wait"


async def test_a_hurried_stop_cuts_what_runs() -> None:
    echo = Echo()
    async with running("echo", build_with(echo), Settings()) as service, client(service.address) as channel:
        running_call = asyncio.create_task(classify(channel, "wait"))
        await echo.arrived.wait()
        service.stop.ask()
        service.stop.ask()
        with pytest.raises(CapstanError) as caught:
            await running_call
        assert caught.value.reason is Reason.UNAVAILABLE


async def test_a_background_task_that_ends_stops_the_service() -> None:
    async def short() -> None:
        await asyncio.sleep(0)

    async with running("echo", build_with(Echo(), work=short), Settings()) as service:
        assert await asyncio.wait_for(service.kit.tasks.failed, 5) == "background task 'work' ended"
        await asyncio.sleep(0)


def test_a_socket_that_somebody_listens_on_is_refused_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s.sock"
    first = listen(address)
    with pytest.raises(AddressError, match="in use"):
        listen(address)
    first.close()  # the file stays, as after a crash
    listen(address).close()


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AddressError, match=f"{address} is in use"):
            listen(address)


def test_a_socket_path_that_the_kernel_cannot_hold_is_named() -> None:
    with pytest.raises(AddressError, match="longer than 107 bytes"):
        listen("unix:/" + "x" * 120)


async def test_a_service_that_is_stopped_while_it_starts_gives_up_and_cleans_up() -> None:
    cleaned, starting = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
        try:
            starting.set()
            await asyncio.Event().wait()
            yield
        finally:
            cleaned.set()

    stop = Stop()
    life = asyncio.create_task(serve("echo", Settings(), build, stop=stop))
    await starting.wait()
    stop.ask()
    with pytest.raises(StoppedWhileStartingError):
        await life
    assert cleaned.is_set()


SLOW_TO_START = """
import asyncio, contextlib, sys, threading
from chassis.run import main
from chassis.settings import ServiceSettings, service_config

class Settings(ServiceSettings):
    model_config = service_config("slow")

@contextlib.asynccontextmanager
async def build(settings, kit):
    print("starting", flush=True)
    await asyncio.to_thread(threading.Event().wait)
    yield

main("slow", Settings, build)
"""


async def test_a_process_stuck_in_its_start_leaves_on_sigterm_with_status_0() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SLOW_TO_START, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"starting\n"
    process.terminate()
    async with asyncio.timeout(30):
        assert await process.wait() == 0
