"""The composition root of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from capstan.jobs.v1 import jobs_pb2_grpc
from chassis.clock import Clock
from chassis.errors import CapstanError
from chassis.kit import Kit
from chassis.postgres import pool
from services.jobs.metrics import Metrics
from services.jobs.servicer import JobsServicer
from services.jobs.settings import Settings
from services.jobs.store import Store

_PURGE_BATCH = 1000


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Serve jobs. PostgreSQL may be away at the start: calls are UNAVAILABLE until it is there."""
    metrics = Metrics(kit.registry)
    async with pool(settings.database(), application_name=kit.instance, max_size=settings.pool_size) as connections:
        store = Store(connections, lambda: datetime.fromtimestamp(kit.clock.now(), UTC))
        jobs_pb2_grpc.add_JobsServiceServicer_to_server(JobsServicer(store, metrics, kit.clock), kit.server)
        kit.tasks.spawn("purge expired files", _purge(store, metrics, kit.clock, settings.purge_interval_s))
        yield


async def _purge(store: Store, metrics: Metrics, clock: Clock, interval_s: float) -> None:
    while True:
        with suppress(CapstanError):  # they stay invisible until PostgreSQL is back
            while count := await store.purge(_PURGE_BATCH):
                metrics.removed.labels("expired").inc(count)
        await clock.sleep(interval_s)
