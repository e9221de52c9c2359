"""A gateway between scripted services, and a client of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from chassis.testing import Running, running
from services.gateway.app import build
from services.gateway.settings import Settings
from tests.integration.gateway.client import Client
from tests.integration.gateway.scripted import KEY, Peers, peers


@pytest.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[Peers]:
    async with peers(tmp_path) as made:
        yield made


def settings(scripted: Peers, **changes: object) -> Settings:
    addresses = {
        f"{name}_address": scripted.address(name)
        for name in ("auth", "ratelimit", "router", "moderation", "billing", "jobs")
    }
    return Settings(
        **addresses,
        http_listen=f"unix:{scripted.folder}/http.sock",
        journal_path=scripted.folder / "journal.db",
        **{"grace_s": 2.0, **changes},
    )


@pytest.fixture
async def gateway(scripted: Peers) -> AsyncIterator[Running]:
    async with running("gateway", build, settings(scripted)) as service:
        yield service


@pytest.fixture
def client(gateway: Running, scripted: Peers) -> Client:
    return Client(scripted.folder / "http.sock", KEY)


async def eventually(holds: Callable[[], object]) -> None:
    """Wait for what happens in the background; the test's own time limit bounds it."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)
