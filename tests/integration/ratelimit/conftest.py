"""A ratelimit service on an empty Valkey, and a Valkey that may be hurt."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chassis.valkey import connect as connect_valkey
from services.ratelimit.audit import audit
from tests.integration.ratelimit.client import UNHURRIED_S, Client, service
from tests.store_process import StoreProcess, valkey_process


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Client]:
    async with connect_valkey(valkey_url, timeout_s=UNHURRIED_S) as valkey:
        await valkey.command("FLUSHDB")
        async with service(valkey_url) as made:
            yield made
        assert [state for state in await audit(valkey) if not state.adds_up] == []


@pytest.fixture(scope="module")
def server() -> Iterator[StoreProcess]:
    folder = Path(tempfile.mkdtemp(prefix="cap-rl-", dir="/tmp"))
    try:
        with valkey_process(folder) as process:
            yield process
    finally:
        shutil.rmtree(folder)
