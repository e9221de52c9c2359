"""One cluster for all tests of this folder; each leaves it as it found it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.faults.router.books import unbound_peers
from tests.faults.router.cluster import Cluster, short_folder


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def _cluster() -> AsyncIterator[Cluster]:
    with short_folder() as folder:
        async with unbound_peers(Path(folder)) as made, Cluster(Path(folder), made).running() as cluster:
            yield cluster


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(_cluster: Cluster) -> AsyncIterator[Cluster]:
    """The cluster, healed."""
    await _cluster.settled()
    yield _cluster
    for proxy in _cluster.proxies.values():
        proxy.turn("pass")
