"""The composition root of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from prometheus_client import Counter

from capstan.jobs.v1 import jobs_pb2_grpc, stored_pb2_grpc
from chassis.clock import Clock, utc
from chassis.errors import CapstanError
from chassis.kit import Kit
from chassis.postgres import pool
from chassis.tenancy import Tenancy
from services.jobs.metrics import Metrics
from services.jobs.servicer import JobsServicer
from services.jobs.settings import Settings
from services.jobs.store import Store
from services.jobs.stored_servicer import StoredServicer
from services.jobs.stored_store import StoredStore

_PURGE_BATCH = 1000


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Serve jobs. PostgreSQL may be away at the start: calls are UNAVAILABLE until it is there."""
    metrics = Metrics(kit.registry)
    async with pool(settings.database(), application_name=kit.instance, max_size=settings.pool_size) as connections:

        def now() -> datetime:
            return utc(kit.clock)

        tenancy = Tenancy(connections, "jobs")
        store = Store(tenancy, now)
        answers = StoredStore(tenancy, now, timedelta(days=settings.stored_days))
        jobs_pb2_grpc.add_JobsServiceServicer_to_server(JobsServicer(store, metrics, kit.clock), kit.server)
        stored_pb2_grpc.add_StoredServiceServicer_to_server(StoredServicer(answers, metrics), kit.server)
        for what, purge, removed in (
            ("files", store.purge, metrics.removed),
            ("stored answers", answers.purge, metrics.stored_removed),
        ):
            kit.tasks.spawn(
                f"purge expired {what}", _purge(purge, removed.labels("expired"), kit.clock, settings.purge_interval_s)
            )
        yield


async def _purge(purge: Callable[[int], Awaitable[int]], removed: Counter, clock: Clock, interval_s: float) -> None:
    while True:
        with suppress(CapstanError):  # they stay invisible until PostgreSQL is back
            while count := await purge(_PURGE_BATCH):
                removed.inc(count)
        await clock.sleep(interval_s)
