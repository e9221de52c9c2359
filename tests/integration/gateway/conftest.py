"""A gateway in this process between a raw client and scripted services."""

from pathlib import Path

import pytest

from chassis.testing import Running, running
from services.gateway.app import build
from tests.integration.gateway.client import Client
from tests.integration.gateway.scripted import KEY, Peers, peers, settings


@pytest.fixture
async def scripted(tmp_path: Path):
    async with peers(tmp_path) as made:
        yield made


@pytest.fixture
async def gateway(scripted: Peers):
    async with running("gateway", build, settings(scripted)) as service:
        yield service


@pytest.fixture
def client(gateway: Running, scripted: Peers) -> Client:
    return Client(scripted.folder / "http.sock", KEY)
