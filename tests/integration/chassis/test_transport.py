"""gRPC between services on TCP: mutual TLS by name, callers told apart, renewals, connections that age."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from capstan.moderation.v1 import moderation_pb2, moderation_pb2_grpc
from chassis.clock import ManualClock, SystemClock
from chassis.errors import CapstanError, Reason
from chassis.kit import Kit
from chassis.rpc_client import call, connect
from chassis.settings import ServiceSettings, service_config
from chassis.sockets import AddressError
from chassis.testing import Running, running
from chassis.transport import Transport
from tests.certificates import Authority


class Settings(ServiceSettings):
    model_config = service_config("echo")


class Echo(moderation_pb2_grpc.ModerationServiceServicer):
    """Answers with the address of whoever asks."""

    async def Classify(self, request, context):
        return moderation_pb2.ClassifyResponse(classifier=context.peer())


@contextlib.asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    moderation_pb2_grpc.add_ModerationServiceServicer_to_server(Echo(), kit.server)
    yield


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


@contextlib.asynccontextmanager
async def serving(folder: Path, **more: object) -> AsyncIterator[Running]:
    settings = Settings(listen=free_address(), transport="tls", tls_folder=folder, **more)
    async with running("echo", build, settings) as service:
        yield service


async def ask(channel) -> str:
    stub = moderation_pb2_grpc.ModerationServiceStub(channel)
    answer = await call(stub.Classify, moderation_pb2.ClassifyRequest(), timeout_s=5, peer="echo")
    return answer.classifier


def transport(folder: Path) -> Transport:
    return Transport(Settings(transport="tls", tls_folder=folder), SystemClock())


@pytest.fixture
def authority() -> Authority:
    return Authority()


async def test_two_services_with_certificates_of_one_ca_talk(authority: Authority, tmp_path: Path) -> None:
    client = transport(authority.issue(tmp_path / "client", "gateway"))
    async with (
        serving(authority.issue(tmp_path / "server", "echo"), callers=("gateway",)) as service,
        client.connect(service.address, "echo") as channel,
    ):
        assert (await ask(channel)).startswith("ipv4:127.0.0.1:")


async def test_a_caller_whose_name_is_not_on_the_list_is_refused(authority: Authority, tmp_path: Path) -> None:
    client = transport(authority.issue(tmp_path / "client", "moderation"))
    async with (
        serving(authority.issue(tmp_path / "server", "echo"), callers=("gateway",)) as service,
        client.connect(service.address, "echo") as channel,
    ):
        with pytest.raises(CapstanError) as caught:
            await ask(channel)
    assert caught.value.reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("name", ["auth", None])
async def test_a_server_under_another_name_is_not_believed(authority: Authority, tmp_path: Path, name: str) -> None:
    client = transport(authority.issue(tmp_path / "client", "gateway"))
    async with (
        serving(authority.issue(tmp_path / "server", "echo")) as service,
        client.connect(service.address, name) as channel,
    ):
        with pytest.raises(CapstanError) as caught:
            await ask(channel)
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_a_caller_of_another_ca_and_one_without_tls_are_refused(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority("another").issue(tmp_path / "client", "gateway")
    (stranger / "ca.crt").write_bytes((authority.issue(tmp_path / "server", "echo") / "ca.crt").read_bytes())
    async with serving(tmp_path / "server") as service:
        for channel in (transport(stranger).connect(service.address, "echo"), connect(service.address)):
            async with channel:
                with pytest.raises(CapstanError) as caught:
                    await ask(channel)
                assert caught.value.reason is Reason.UNAVAILABLE


async def test_both_sides_take_renewed_certificates_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    clock = ManualClock()
    settings = Settings(transport="tls", tls_folder=authority.issue(tmp_path / "client", "gateway"))
    client = Transport(settings, clock)
    server = Settings(listen=free_address(), transport="tls", tls_folder=authority.issue(tmp_path / "server", "echo"))
    async with (
        running("echo", build, server, clock=clock) as service,
        client.connect(service.address, "echo") as channel,
    ):
        before = await ask(channel)
        other = Authority("the next one")
        other.issue(tmp_path / "client", "gateway")
        other.issue(tmp_path / "server", "echo")
        assert await ask(channel) == before  # nobody has looked yet
        await clock.advance(60)
        assert await ask(channel) != before


async def test_a_connection_that_reached_its_age_is_replaced(authority: Authority, tmp_path: Path) -> None:
    client = transport(authority.issue(tmp_path / "client", "gateway"))
    folder = authority.issue(tmp_path / "server", "echo")
    async with (
        serving(folder, max_connection_age_s=0.2) as service,
        client.connect(service.address, "echo") as channel,
        asyncio.timeout(20),
    ):
        first = await ask(channel)
        while await ask(channel) == first:
            pass


async def test_nothing_plain_leaves_or_enters_the_machine_unless_a_mesh_protects_it() -> None:
    local, mesh = (Transport(Settings(transport=kind), SystemClock()) for kind in ("local", "mesh"))
    with pytest.raises(AddressError, match="without TLS"):
        local.connect("10.0.0.1:50051")
    await mesh.connect("10.0.0.1:50051").close()
    open_settings = Settings(listen="0.0.0.0:0")
    with pytest.raises(AddressError, match="without TLS"):
        async with running("echo", build, open_settings):
            pass


@pytest.mark.parametrize(
    "wrong", [{"transport": "tls"}, {"tls_folder": "/x"}, {"callers": ("gateway",)}, {"max_connection_age_s": 0}]
)
def test_settings_that_do_not_fit_together_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Settings"):
        Settings(**wrong)
