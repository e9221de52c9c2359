"""A Valkey that may be hurt, behind a real ratelimit service."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chassis.testing import Running, running
from chassis.valkey import connect
from services.ratelimit.app import build
from services.ratelimit.audit import audit
from services.ratelimit.settings import Settings
from tests.store_process import StoreProcess, valkey_process


@pytest.fixture
def server() -> Iterator[StoreProcess]:
    folder = Path(tempfile.mkdtemp(prefix="cap-lim-", dir="/tmp"))
    try:
        with valkey_process(folder) as process:
            yield process
    finally:
        shutil.rmtree(folder)


@pytest.fixture
async def service(server: StoreProcess) -> AsyncIterator[Running]:
    """Whose budgets hold what their holds add up to, when a test has done with them."""
    async with running("ratelimit", build, Settings(valkey_url=server.store.url, valkey_timeout_s=1.0)) as made:
        yield made
    if server.store.is_ready():
        async with connect(server.store.url, timeout_s=10) as valkey:
            assert [state for state in await audit(valkey) if not state.adds_up] == []
