"""Auth while its database is killed, frozen, or not there yet."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from capstan.auth.v1 import auth_pb2 as pb
from chassis import keys
from chassis.errors import CapstanError, Reason
from services.auth import commands
from services.auth.settings import Settings
from tests.store_process import StoreProcess, postgres_process

from .administrator import Administrator
from .conftest import Client, Service


@pytest.fixture(scope="module")
def server() -> Iterator[StoreProcess]:
    folder = Path(tempfile.mkdtemp(prefix="cap-au-", dir="/tmp"))
    folder.chmod(0o711)  # as root the server may run as another account, which must get through here
    try:
        with postgres_process(folder) as process:
            yield process
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def outage(server: StoreProcess, pepper_file: Path) -> Settings:
    return Settings(dsn=server.store.dsn(), pepper_file=pepper_file, statement_timeout_s=0.3)


@pytest.fixture
async def key(outage: Settings, server: StoreProcess, capsys: pytest.CaptureFixture[str]) -> str:
    server.store.execute("DROP SCHEMA IF EXISTS auth CASCADE")
    await commands.migrate(outage)
    capsys.readouterr()
    await commands.bootstrap(outage)
    return str(json.loads(capsys.readouterr().out)["api_key"])


async def known_again(client: Client, key: str) -> pb.Principal:
    async with asyncio.timeout(30):
        while True:
            try:
                return await client.authenticate(key)
            except CapstanError as error:
                assert error.reason is not Reason.KEY_INVALID  # noqa: PT017 - a good key is never called a bad one
                await asyncio.sleep(0.05)


async def assert_served_from_memory(client: Client, key: str) -> None:
    """The known key goes on, also in one call with unknown ones, which are nobody's fault."""
    for _ in range(5):
        known, unknown = await client.judge(keys.digest(key), os.urandom(32))
        assert isinstance(known, pb.Principal)
        assert isinstance(unknown, CapstanError)
        assert unknown.reason is Reason.UNAVAILABLE
        assert unknown.metadata["service"] == "postgres"


async def test_while_the_database_is_dead_known_keys_work_and_unknown_ones_are_unavailable(
    outage: Settings, key: str, server: StoreProcess, service: Service
) -> None:
    async with service(outage) as client:
        await known_again(client, key)
        server.kill()
        try:
            await assert_served_from_memory(client, key)
            with pytest.raises(CapstanError) as caught:
                await Administrator(client.channel, "org-1", "key_1")("ListProjects")
            assert caught.value.reason is Reason.UNAVAILABLE
        finally:
            server.start()
        [unknown] = await client.judge(os.urandom(32))
        async with asyncio.timeout(30):
            while isinstance(unknown, CapstanError) and unknown.reason is Reason.UNAVAILABLE:
                [unknown] = await client.judge(os.urandom(32))
        assert isinstance(unknown, CapstanError)
        assert unknown.reason is Reason.KEY_INVALID


async def test_while_the_database_is_frozen_calls_end_and_known_keys_work(
    outage: Settings, key: str, server: StoreProcess, service: Service
) -> None:
    async with service(outage) as client:
        await known_again(client, key)
        server.freeze()
        try:
            async with asyncio.timeout(20):
                await assert_served_from_memory(client, key)
        finally:
            server.thaw()


async def test_it_starts_while_the_database_is_away_and_recovers_without_a_restart(
    outage: Settings, key: str, server: StoreProcess, service: Service
) -> None:
    server.kill()
    try:
        async with service(outage) as client:
            [unknown] = await client.judge(keys.digest(key))
            assert isinstance(unknown, CapstanError)
            assert unknown.reason is Reason.UNAVAILABLE
            server.start()
            assert (await known_again(client, key)).scopes == ["*"]
    finally:
        server.kill()
        server.start()


async def test_before_the_schema_is_there_keys_are_unavailable_and_not_wrong(
    outage: Settings, key: str, server: StoreProcess, service: Service
) -> None:
    server.store.execute("DROP SCHEMA auth CASCADE")
    async with service(outage) as client:
        [verdict] = await client.judge(keys.digest(key))
        assert isinstance(verdict, CapstanError)
        assert verdict.reason is Reason.UNAVAILABLE
        assert "migrate" in verdict.message
