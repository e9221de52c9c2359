"""Auth: who stands behind a key, remembered and forgotten in time.

A principal is cached for as long as auth says, dropped at once when auth's Watch stream names its key or project, and
served stale for a while when auth is away (a known key must go on working, faults.md A1). A refusal is remembered for a
few seconds, so that junk costs auth nothing. Concurrent first requests of one key share one lookup.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import grpc

from capstan.auth.v1 import auth_pb2, auth_pb2_grpc
from chassis import keys
from chassis.clock import Clock
from chassis.coalesce import Coalescer
from chassis.errors import CapstanError, Reason, from_failure
from services.gateway.caller import Caller, Limit, ModerationPolicy, Scope
from services.gateway.peers.calls import as_said_by, call

MAX_CACHED_KEYS = 50_000
STALE_IF_ERROR_S = 300.0
REFUSAL_TTL_S = 5.0

_SCOPES: dict[int, Scope] = {
    auth_pb2.LIMIT_SCOPE_KEY: "key",
    auth_pb2.LIMIT_SCOPE_PROJECT: "project",
    auth_pb2.LIMIT_SCOPE_ORGANIZATION: "organization",
}
_POLICIES: dict[int, ModerationPolicy] = {
    auth_pb2.MODERATION_POLICY_ADVISORY: "advisory",
    auth_pb2.MODERATION_POLICY_REQUIRED: "required",
}
assert set(_SCOPES.values()) == set(get_args(Scope))


@dataclass(slots=True)
class _Entry:
    verdict: Caller | CapstanError
    fresh_until: float


class Authenticator:
    """Answers callers for keys."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock, log: logging.Logger, timeout_s: float) -> None:
        self._stub = auth_pb2_grpc.AuthServiceStub(channel)
        self._clock = clock
        self._log = log
        self._timeout_s = timeout_s
        self._cache: OrderedDict[bytes, _Entry] = OrderedDict()
        self._lookups: dict[bytes, asyncio.Task[_Entry]] = {}
        self._coalescer: Coalescer[bytes, auth_pb2.AuthenticateResult] = Coalescer(self._send)

    async def authenticate(self, key: str) -> Caller:
        """Answer who stands behind `key`.

        Raises `CapstanError`: KEY_INVALID or PROJECT_ARCHIVED; UNAVAILABLE when auth is away and the key is not known.
        """
        if not keys.well_formed(key):
            raise CapstanError(Reason.KEY_INVALID, "the key is not well formed")
        digest = keys.digest(key)
        entry = self._cache.get(digest)
        now = self._clock.monotonic()
        if entry is None or entry.fresh_until <= now:
            entry = await self._look_up(digest, entry, now)
        if isinstance(entry.verdict, CapstanError):
            raise entry.verdict
        expires_at = entry.verdict.expires_at
        if expires_at is not None and expires_at <= self._clock.now():
            raise CapstanError(Reason.KEY_INVALID, "the key has expired")
        return entry.verdict

    async def _look_up(self, digest: bytes, stale: _Entry | None, now: float) -> _Entry:
        task = self._lookups.get(digest)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(digest), name="key lookup")
            self._lookups[digest] = task
            task.add_done_callback(lambda _: self._lookups.pop(digest, None))
        try:
            # Shielded: one client that leaves must not take the lookup from the others.
            return await asyncio.shield(task)
        except CapstanError:
            usable = stale is not None and stale.fresh_until + STALE_IF_ERROR_S > now
            if stale is None or not usable or isinstance(stale.verdict, CapstanError):
                raise
            return stale

    async def _fetch(self, digest: bytes) -> _Entry:
        result = await self._coalescer.submit(digest)
        if result.HasField("principal"):
            ttl = result.principal.cache_ttl.ToTimedelta().total_seconds()
            entry = _Entry(_caller(result.principal), self._clock.monotonic() + ttl)
        else:
            entry = _Entry(from_failure(result.refusal), self._clock.monotonic() + REFUSAL_TTL_S)
        self._cache[digest] = entry
        self._cache.move_to_end(digest)
        if len(self._cache) > MAX_CACHED_KEYS:
            self._cache.popitem(last=False)
        return entry

    async def _send(self, digests: Sequence[bytes]) -> Sequence[auth_pb2.AuthenticateResult | CapstanError]:
        request = auth_pb2.AuthenticateRequest(key_digests=digests)
        answer: auth_pb2.AuthenticateResponse = await call(
            self._stub.Authenticate, request, timeout_s=self._timeout_s, peer="auth"
        )
        return [_unless_unknown_now(result) for result in answer.results]

    async def watch(self) -> None:
        """Follow auth's Watch stream for ever, forgetting what it names. Meant to be a background task."""
        while True:
            try:
                async for change in self._stub.Watch(auth_pb2.WatchRequest()):
                    self._forget(set(change.key_ids), set(change.project_ids))
            except grpc.aio.AioRpcError as error:
                self._log.info("watch of auth ended: %s", error.code().name)
            # What changed meanwhile is unknown: all is looked up again, and served stale only if auth stays away.
            now = self._clock.monotonic()
            for entry in self._cache.values():
                entry.fresh_until = min(entry.fresh_until, now)
            await self._clock.sleep(0.5)

    def _forget(self, key_ids: set[str], project_ids: set[str]) -> None:
        if not key_ids and not project_ids:
            return
        gone = [
            digest
            for digest, entry in self._cache.items()
            if isinstance(entry.verdict, CapstanError)
            or entry.verdict.key_id in key_ids
            or entry.verdict.project_id in project_ids
        ]
        for digest in gone:
            del self._cache[digest]


def _unless_unknown_now(result: auth_pb2.AuthenticateResult) -> auth_pb2.AuthenticateResult | CapstanError:
    """Turn into an error what is said of one key only because auth cannot tell now: no verdict to remember."""
    if result.HasField("refusal"):
        error = from_failure(result.refusal)
        if error.reason in (Reason.UNAVAILABLE, Reason.OVERLOADED):
            return as_said_by("auth", error)
    return result


def _caller(principal: auth_pb2.Principal) -> Caller:
    return Caller(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        key_id=principal.key_id,
        owner_id=principal.owner_id,
        scopes=frozenset(principal.scopes),
        allowed_models=frozenset(principal.allowed_models),
        moderation=_POLICIES.get(principal.moderation_policy, "off"),
        limits=tuple(
            Limit(
                scope=_SCOPES[limit.scope],
                model=limit.model,
                requests_per_minute=limit.requests_per_minute if limit.HasField("requests_per_minute") else None,
                tokens_per_minute=limit.tokens_per_minute if limit.HasField("tokens_per_minute") else None,
            )
            for limit in principal.rate_limits
            if limit.scope in _SCOPES
        ),
        expires_at=principal.expire_time.ToMicroseconds() / 1e6 if principal.HasField("expire_time") else None,
    )
