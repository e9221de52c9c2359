"""Auth: who stands behind a key, remembered and forgotten in time.

A principal is cached for as long as auth says, dropped at once when auth's Watch stream names its key or project, and
served stale for a while when auth is away (a known key must go on working, faults.md A1). A refusal is remembered for a
few seconds, so that junk costs auth nothing. Concurrent first requests of one key share one lookup.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Sequence
from typing import get_args

import grpc

from capstan.auth.v1 import auth_pb2, auth_pb2_grpc
from chassis import keys
from chassis.clock import Clock
from chassis.coalesce import Coalescer
from chassis.errors import CapstanError, Reason, from_failure
from services.gateway.caller import Caller, FailureMode, KeyKind, Limit, ModerationPolicy, Scope
from services.gateway.known_keys import KnownKeys
from services.gateway.peers.calls import as_said_by, call

Verdict = Caller | CapstanError

_SCOPES: dict[int, Scope] = {
    auth_pb2.LIMIT_SCOPE_KEY: "key",
    auth_pb2.LIMIT_SCOPE_PROJECT: "project",
    auth_pb2.LIMIT_SCOPE_ORGANIZATION: "organization",
}
_POLICIES: dict[int, ModerationPolicy] = {
    auth_pb2.MODERATION_POLICY_UNSPECIFIED: "off",
    auth_pb2.MODERATION_POLICY_OFF: "off",
    auth_pb2.MODERATION_POLICY_ADVISORY: "advisory",
    auth_pb2.MODERATION_POLICY_REQUIRED: "required",
}
_STRICTEST: ModerationPolicy = "required"
"""What a policy is taken for that only a newer auth knows."""
_KINDS: dict[int, KeyKind] = {
    auth_pb2.KEY_KIND_SERVICE_ACCOUNT: "service_account",
    auth_pb2.KEY_KIND_ADMIN: "admin",
}
_FAILURE_MODES: dict[int, FailureMode] = {
    auth_pb2.LIMIT_FAILURE_MODE_OPEN: "open",
    auth_pb2.LIMIT_FAILURE_MODE_CLOSED: "closed",
}
assert set(_SCOPES.values()) == set(get_args(Scope))


class Authenticator:
    """Answers callers for keys."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock, log: logging.Logger, timeout_s: float) -> None:
        self._stub = auth_pb2_grpc.AuthServiceStub(channel)
        self._clock = clock
        self._log = log
        self._timeout_s = timeout_s
        self._known = KnownKeys()
        self._lookups: dict[bytes, asyncio.Task[Verdict]] = {}
        self._coalescer: Coalescer[bytes, auth_pb2.AuthenticateResult] = Coalescer(self._send)

    async def authenticate(self, key: str) -> Caller:
        """Answer who stands behind `key`.

        Raises `CapstanError`: KEY_INVALID or PROJECT_ARCHIVED; UNAVAILABLE when auth is away and the key is not known.
        """
        if not keys.well_formed(key):
            raise CapstanError(Reason.KEY_INVALID, "the key is not well formed")
        digest = keys.digest(key)
        verdict = self._known.fresh(digest, self._clock.monotonic()) or await self._look_up(digest)
        if isinstance(verdict, CapstanError):
            raise verdict
        if verdict.expires_at is not None and verdict.expires_at <= self._clock.now():
            raise CapstanError(Reason.KEY_INVALID, "the key has expired")
        return verdict

    def knows(self, key: str) -> bool:
        """Whether the key was a good one when auth was last asked."""
        return self._known.has(keys.digest(key))

    async def _look_up(self, digest: bytes) -> Verdict:
        task = self._lookups.get(digest)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(digest), name="key lookup")
            self._lookups[digest] = task
            task.add_done_callback(lambda done: self._looked_up(digest, done))
        try:
            # Shielded: one client that leaves must not take the lookup from the others.
            return await asyncio.shield(task)
        except CapstanError:
            caller = self._known.stale(digest, self._clock.monotonic())
            if caller is None:
                raise
            return caller

    def _looked_up(self, digest: bytes, task: asyncio.Task[Verdict]) -> None:
        if self._lookups.get(digest) is task:
            del self._lookups[digest]
        if not task.cancelled():
            task.exception()  # everybody who asked may have left

    async def _fetch(self, digest: bytes) -> Verdict:
        asked_at = self._known.moment
        result = await self._coalescer.submit(digest)
        verdict: Verdict
        if result.HasField("principal"):
            verdict = _caller(result.principal)
            ttl_s = result.principal.cache_ttl.ToTimedelta().total_seconds()
        else:
            verdict, ttl_s = from_failure(result.refusal), 0.0
        self._known.learn(digest, verdict, ttl_s, self._clock.monotonic(), asked_at)
        return verdict

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
                    # Whoever asks from now on must not get the answer to an older question.
                    self._lookups.clear()
                    if change.key_ids or change.project_ids:
                        self._known.forget(set(change.key_ids), set(change.project_ids))
                    else:
                        # The stream begins here; what came before it may have been missed.
                        self._known.distrust(self._clock.monotonic())
            except grpc.aio.AioRpcError as error:
                self._log.info("watch of auth ended: %s", error.code().name)
            self._known.distrust(self._clock.monotonic())
            await self._clock.sleep(0.5)


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
        moderation=_POLICIES.get(principal.moderation_policy, _STRICTEST),
        limits=tuple(_limit(limit) for limit in principal.rate_limits if limit.scope in _SCOPES),
        expires_at=principal.expire_time.ToMicroseconds() / 1e6 if principal.HasField("expire_time") else None,
        kind=_KINDS.get(principal.kind, "user"),
        denied_models=frozenset(principal.denied_models),
        allowed_ips=tuple(ipaddress.ip_network(network, strict=False) for network in principal.allowed_ips),
    )


def _limit(limit: auth_pb2.RateLimit) -> Limit:
    return Limit(
        scope=_SCOPES[limit.scope],
        model=limit.model,
        requests_per_minute=limit.requests_per_minute if limit.HasField("requests_per_minute") else None,
        tokens_per_minute=limit.tokens_per_minute if limit.HasField("tokens_per_minute") else None,
        requests_per_day=limit.requests_per_day if limit.HasField("requests_per_day") else None,
        tokens_per_day=limit.tokens_per_day if limit.HasField("tokens_per_day") else None,
        concurrent_requests=limit.concurrent_requests if limit.HasField("concurrent_requests") else None,
        shadow=limit.shadow,
        failure_mode=_FAILURE_MODES.get(limit.failure_mode, "local"),
        burst_percent=limit.burst_percent if 1 <= limit.burst_percent <= 100 else 100,
        count_rejected=limit.count_rejected if limit.HasField("count_rejected") else True,
    )
