"""What an operator may run beside the service itself."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from chassis import postgres
from chassis.ids import RandomIds
from chassis.postgres import pool
from services.auth.bootstrap import bootstrap as make_first
from services.auth.settings import Settings
from services.auth.store import Store

MIGRATIONS = Path(__file__).with_name("migrations")


async def migrate(settings: Settings) -> int:
    """Bring the schema `auth` up to date; print the names of the migrations that were applied."""
    for name in await postgres.migrate(settings.database(), "auth", MIGRATIONS):
        print(name)
    return 0


async def bootstrap(settings: Settings) -> int:
    """Make the first organisation, project, user and key; print them as JSON, the key this one time."""
    async with pool(settings.database(), application_name="auth bootstrap", max_size=1) as connections:
        first = await make_first(
            connections,
            Store(connections, settings.peppers()),
            name=settings.bootstrap_organization,
            tier=settings.bootstrap_tier,
            ids=RandomIds(),
            entropy=secrets.token_bytes,
        )
    print(json.dumps({"exists": True} if first is None else first.words()))
    return 0
