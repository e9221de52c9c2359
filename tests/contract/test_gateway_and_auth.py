"""The gateway's view of auth against auth itself: what is remembered, what is forgotten, what an outage changes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chassis import keys
from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import connect
from chassis.testing import running
from services.auth import commands
from services.auth.app import build
from services.auth.settings import Settings
from services.gateway.peers.auth import Authenticator
from tests.store_process import StoreProcess, postgres_process


@pytest.fixture(scope="module")
def server() -> Iterator[StoreProcess]:
    folder = Path(tempfile.mkdtemp(prefix="cap-ga-", dir="/tmp"))
    folder.chmod(0o711)  # as root the server may run as another account, which must get through here
    try:
        with postgres_process(folder) as process:
            yield process
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def settings(server: StoreProcess, tmp_path: Path) -> Settings:
    (tmp_path / "pepper").write_text("p" * 32)
    return Settings(dsn=server.store.dsn(), pepper_file=tmp_path / "pepper")


@pytest.fixture
async def key(server: StoreProcess, settings: Settings, capsys: pytest.CaptureFixture[str]) -> str:
    server.store.execute("DROP SCHEMA IF EXISTS auth CASCADE")
    await commands.migrate(settings)
    capsys.readouterr()
    await commands.bootstrap(settings)
    return str(json.loads(capsys.readouterr().out)["api_key"])


@pytest.fixture
async def clock() -> ManualClock:
    """The gateway's; auth has the real one."""
    return ManualClock()


@pytest.fixture
async def gateway(key: str, settings: Settings, clock: ManualClock) -> AsyncIterator[Authenticator]:
    async with running("auth", build, settings) as auth, connect(auth.address) as channel:
        made = Authenticator(channel, clock, logging.getLogger("test"), timeout_s=10)
        watching = asyncio.create_task(made.watch())
        async with asyncio.timeout(30):
            while auth.kit.registry.get_sample_value("capstan_auth_watchers") != 1:
                await clock.advance(0.5)
                await asyncio.sleep(0.02)
        yield made
        watching.cancel()
        await asyncio.wait([watching])


async def refusal(gateway: Authenticator, key: str) -> Reason:
    with pytest.raises(CapstanError) as caught:
        await gateway.authenticate(key)
    return caught.value.reason


async def test_an_outage_is_no_verdict_on_a_key_and_not_remembered_as_one(
    gateway: Authenticator, key: str, clock: ManualClock, server: StoreProcess
) -> None:
    caller = await gateway.authenticate(key)
    stranger = keys.mint("proj", os.urandom)
    server.kill()
    try:
        await clock.advance(61)
        known, unknown = await asyncio.gather(
            gateway.authenticate(key), gateway.authenticate(stranger), return_exceptions=True
        )
        assert known == caller
        assert isinstance(unknown, CapstanError)
        assert unknown.reason is Reason.UNAVAILABLE
    finally:
        server.start()
    async with asyncio.timeout(30):
        while True:
            reason = await refusal(gateway, stranger)
            if reason is not Reason.UNAVAILABLE:
                break
            await asyncio.sleep(0.05)
    assert reason is Reason.KEY_INVALID
    assert await gateway.authenticate(key) == caller


async def test_a_revocation_reaches_a_gateway_that_remembers_the_key(
    gateway: Authenticator, key: str, server: StoreProcess
) -> None:
    await gateway.authenticate(key)
    server.store.execute("UPDATE auth.keys SET revoked_at = now()")
    async with asyncio.timeout(30):  # the gateway's clock stands still: only the push can end what it remembers
        while True:
            try:
                await gateway.authenticate(key)
            except CapstanError as error:
                assert error.reason is Reason.KEY_INVALID  # noqa: PT017 - told apart from an outage
                break
            await asyncio.sleep(0.02)
