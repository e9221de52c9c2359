"""Who calls, whether they may, and the transaction they get: nothing of the administration runs without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from capstan.auth.v1 import actor_pb2
from chassis.clock import Clock
from chassis.errors import CapstanError, Reason
from chassis.ids import Ids
from chassis.postgres import Connection
from services.auth.admin.call import GRANTS, Actor, Call, denied, rights
from services.auth.audit import By
from services.auth.authority import RULES
from services.auth.minting import Mint
from services.auth.tenancy import Tenancy, enter
from services.auth.watch import CHANNEL, Changes

LONGEST_ECHO_S = 1.0
"""How long an answer waits to hear from the database what its own call changed."""

_TELL = f"SELECT pg_notify('{CHANNEL}', $1)"
_ACTOR = """
SELECT k.owner_id, k.scopes, k.operator, k.expires_at FROM auth.keys k
JOIN auth.users u ON u.organization_id = k.organization_id AND u.user_id = k.owner_id
WHERE k.organization_id = $1 AND k.key_id = $2 AND k.kind = 'admin' AND k.revoked_at IS NULL
  AND u.disabled_at IS NULL AND u.deleted_at IS NULL
"""


class Desk:
    """Opens calls."""

    def __init__(self, tenancy: Tenancy, changes: Changes, mint: Mint, ids: Ids, clock: Clock) -> None:
        self._tenancy = tenancy
        self._changes = changes
        self._mint = mint
        self._ids = ids
        self._clock = clock

    @asynccontextmanager
    async def open(self, method: str, request: Any) -> AsyncIterator[Call]:
        """Open a call of `method`, committed at the end.

        When it has ended, no key is judged here any more by what the call changed; other replicas and gateways hear of
        that at the same time.

        Raises:
            CapstanError: KEY_INVALID for an actor whose key is not good (any more), PERMISSION_DENIED for one who may
                not call this method on what the request names.
        """
        call_id = self._ids.new("")
        with self._changes.expected(call_id) as heard:
            async with self._opened(method, request) as call:
                yield call
                if call.changed:
                    await call.connection.execute(_TELL, f"call:{call_id}")
            if call.changed:
                try:
                    async with asyncio.timeout(LONGEST_ECHO_S):
                        await heard.wait()
                except TimeoutError:
                    self._changes.distrust()

    @asynccontextmanager
    async def _opened(self, method: str, request: Any) -> AsyncIterator[Call]:
        said: actor_pb2.Actor = request.actor
        with _no_nul():
            async with self._entered(method, request, said) as call:
                yield call

    @asynccontextmanager
    async def _entered(self, method: str, request: Any, said: actor_pb2.Actor) -> AsyncIterator[Call]:
        async with self._tenancy.within(said.organization_id) as connection:
            call = Call(
                connection,
                said.organization_id,
                await self._actor(connection, said),
                self._ids,
                self._clock,
                self._mint,
            )
            rule = RULES[method]
            named = getattr(request, "organization_id", "")
            other = named if named != said.organization_id else ""
            if not call.actor.rights.permit(rule, other, getattr(request, "project_id", "")):
                raise denied(rule.permission)
            if rule.level == "operator":
                await enter(connection, said.organization_id, "operator")
            yield call

    async def _actor(self, connection: Connection, said: actor_pb2.Actor) -> Actor:
        key = await connection.fetchrow(_ACTOR, said.organization_id, said.key_id)
        if key is None or (key["expires_at"] is not None and key["expires_at"].timestamp() <= self._clock.now()):
            raise CapstanError(Reason.KEY_INVALID, "the key is not valid")
        granted = await connection.fetch(GRANTS, said.organization_id, key["owner_id"])
        scopes = tuple(key["scopes"])
        return Actor(
            By(said.key_id, key["owner_id"], said.ip_address, said.request_id),
            key["owner_id"],
            scopes,
            rights(granted, operator=key["operator"]).narrowed(scopes),
        )


@contextmanager
def _no_nul() -> Iterator[None]:
    """Refuse the one character that JSON and protobuf have and PostgreSQL has not, wherever it stands."""
    try:
        yield
    except asyncpg.CharacterNotInRepertoireError:
        raise CapstanError(Reason.INVALID_ARGUMENT, "a text holds the character NUL", param="") from None
