"""An auth service on a real PostgreSQL, and the callers it has."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import grpc
import pytest

from capstan.auth.v1 import auth_pb2 as pb
from capstan.auth.v1 import auth_pb2_grpc
from chassis import keys
from chassis.clock import Clock
from chassis.errors import CapstanError, from_failure
from chassis.rpc_client import call, connect
from chassis.testing import Running, running
from services.auth import commands
from services.auth.app import build
from services.auth.settings import Settings

from .administrator import UNHURRIED_S, administrator

PEPPER = "pepper " * 5


class Client:
    """Calls auth as the gateway and the administration do."""

    def __init__(self, channel: grpc.aio.Channel, running: Running) -> None:
        self.stub: auth_pb2_grpc.AuthServiceAsyncStub = auth_pb2_grpc.AuthServiceStub(channel)
        self.running = running
        self.channel = channel

    async def judge(self, *digests: bytes) -> list[pb.Principal | CapstanError]:
        request = pb.AuthenticateRequest(key_digests=digests)
        answer = await call(self.stub.Authenticate, request, timeout_s=UNHURRIED_S, peer="auth")
        return [
            result.principal if result.HasField("principal") else from_failure(result.refusal)
            for result in answer.results
        ]

    async def authenticate(self, key: str) -> pb.Principal:
        [verdict] = await self.judge(keys.digest(key))
        if isinstance(verdict, CapstanError):
            raise verdict
        return verdict

    async def create_key(self, first: dict[str, str], name: str = "a key", **restrictions: object) -> Made:
        where = {"project_id": first["project_id"], "name": name}
        owner = await administrator(self, first["admin_key"])
        made = await owner("CreateProjectKey", **where, restrictions=restrictions)
        return Made(made.api_key.id, made.key)

    async def revoke_key(self, first: dict[str, str], key_id: str) -> None:
        owner = await administrator(self, first["admin_key"])
        await owner("DeleteProjectKey", project_id=first["project_id"], key_id=key_id)


@dataclass(frozen=True)
class Made:
    """A key that was made."""

    key_id: str
    key: str


@pytest.fixture
def pepper_file(tmp_path: Path) -> Path:
    path = tmp_path / "pepper"
    path.write_text(PEPPER)
    return path


@pytest.fixture
def settings(postgres_dsn: str, pepper_file: Path) -> Settings:
    return Settings(dsn=postgres_dsn, pepper_file=pepper_file, statement_timeout_s=10)


Service = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def service() -> Service:
    @asynccontextmanager
    async def make(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Client]:
        async with running("auth", build, settings, clock=clock) as it, connect(it.address) as channel:
            yield Client(channel, it)

    return make


@dataclass
class Sql:
    """Statements of an administrator, beside the service."""

    dsn: str

    async def __call__(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()


@pytest.fixture
def sql(postgres_dsn: str) -> Sql:
    return Sql(postgres_dsn)


Bootstrap = Callable[[Settings], Awaitable[dict[str, str]]]


@pytest.fixture
async def first(settings: Settings, sql: Sql, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """A schema with nothing in it but what `bootstrap` makes."""
    await sql("DROP SCHEMA IF EXISTS auth CASCADE")
    assert await commands.migrate(settings) == 0
    capsys.readouterr()
    assert await commands.bootstrap(settings) == 0
    made: dict[str, str] = json.loads(capsys.readouterr().out)
    return made


@pytest.fixture
async def client(settings: Settings, first: dict[str, str], service: Service) -> AsyncIterator[Client]:
    async with service(settings) as made:
        yield made
