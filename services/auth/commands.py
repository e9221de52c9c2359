"""What an operator may run beside the service itself."""

from __future__ import annotations

import json
import secrets
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from chassis import postgres
from chassis.ids import RandomIds
from chassis.postgres import Pool, pool
from services.auth.bootstrap import bootstrap as make_first
from services.auth.bootstrap import operator_key
from services.auth.minting import Mint
from services.auth.settings import Settings
from services.auth.tenancy import Tenancy

MIGRATIONS = Path(__file__).with_name("migrations")


def _patient_pool(settings: Settings, command: str) -> AbstractAsyncContextManager[Pool]:
    """Wait longer than a service does: nobody's request waits behind a command."""
    return pool(
        settings.database(),
        application_name=f"auth {command}",
        max_size=1,
        statement_timeout_s=30.0,
        acquire_timeout_s=10.0,
    )


async def migrate(settings: Settings) -> int:
    """Bring the schema `auth` up to date; print the names of the migrations that were applied."""
    for name in await postgres.migrate(settings.database(), "auth", MIGRATIONS):
        print(name)
    return 0


async def bootstrap(settings: Settings) -> int:
    """Make the first organisation, project, user and keys; print them as JSON, the keys this one time."""
    ids = RandomIds()
    mint = Mint(ids, secrets.token_bytes, settings.peppers())
    async with _patient_pool(settings, "bootstrap") as connections:
        first = await make_first(
            Tenancy(connections),
            mint,
            ids,
            name=settings.bootstrap_organization,
            tier=settings.bootstrap_tier,
        )
    print(json.dumps({"exists": True} if first is None else first.words()))
    return 0


async def admin_key(settings: Settings) -> int:
    """Make another admin key for whoever operates the installation; print it as JSON, this one time."""
    ids = RandomIds()
    mint = Mint(ids, secrets.token_bytes, settings.peppers())
    async with _patient_pool(settings, "admin-key") as connections:
        key = await operator_key(Tenancy(connections), mint, ids)
    if key is None:
        print("there is no organisation with an owner: run `bootstrap`", file=sys.stderr)
        return 1
    print(json.dumps({"admin_key": key}))
    return 0
