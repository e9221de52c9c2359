"""What the auth service is made of."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from capstan.auth.v1 import admin_pb2_grpc, auth_pb2_grpc
from chassis.kit import Kit
from chassis.postgres import pool
from services.auth.admin.desk import Desk
from services.auth.admin.servicer import admin_servicer
from services.auth.cache import Cache
from services.auth.directory import Directory
from services.auth.metrics import Metrics
from services.auth.minting import Mint
from services.auth.servicer import AuthServicer
from services.auth.settings import Settings
from services.auth.store import Store
from services.auth.tenancy import Tenancy
from services.auth.uses import Uses
from services.auth.watch import Changes, follow


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Serve auth. PostgreSQL may be away at the start: keys are UNAVAILABLE until it is there."""
    peppers, dsn = settings.peppers(), settings.database()
    async with pool(
        dsn,
        application_name=kit.instance,
        max_size=settings.pool_size,
        statement_timeout_s=settings.statement_timeout_s,
    ) as connections:
        cache = Cache(kit.clock.monotonic, settings.cached_keys)
        changes = Changes(lambda change: cache.forget(change.key_ids, change.project_ids), cache.distrust)
        metrics = Metrics(kit.registry, is_away=lambda: connections.is_away, is_following=lambda: changes.following)
        tenancy, mint = Tenancy(connections), Mint(kit.ids, secrets.token_bytes, peppers)
        store = Store(tenancy, peppers)
        directory, uses = Directory(store, cache, kit.clock, metrics), Uses(store, kit.clock, kit.log)
        servicer = AuthServicer(
            directory=directory,
            changes=changes,
            uses=uses,
            metrics=metrics,
            clock=kit.clock,
        )
        auth_pb2_grpc.add_AuthServiceServicer_to_server(servicer, kit.server)
        desk = Desk(tenancy, changes, mint, kit.ids, kit.clock)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(admin_servicer(desk), kit.server)
        kit.tasks.spawn("follow changes", follow(dsn, changes, kit.clock, kit.log))
        kit.tasks.spawn("write uses", uses.run())
        # Watch streams never end by themselves; they must not use up the grace of a service that is stopping.
        kit.readiness.listen(lambda _ready: changes.close() if kit.draining.started else None)
        yield
        await directory.close()
        await uses.close()
