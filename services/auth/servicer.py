"""Wire in, wire out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from capstan.auth.v1 import auth_pb2, auth_pb2_grpc
from chassis import keys
from chassis.clock import Clock
from chassis.errors import CapstanError, Reason, failure
from chassis.ids import Ids
from services.auth.cache import FRESH_S
from services.auth.directory import Directory
from services.auth.metrics import Metrics
from services.auth.principals import KeyRow, Limit, Principal, judge
from services.auth.store import NewKey, Store
from services.auth.uses import Uses
from services.auth.watch import Change, Changes

MOST_DIGESTS = 1000
DIGEST_BYTES = 32
ALL_SCOPES = "*"

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_SCOPE = re.compile(r"\*|[a-z][a-z0-9_.]{0,63}", re.ASCII)
_MOST_SCOPES = 64

_POLICIES = {
    "off": auth_pb2.MODERATION_POLICY_OFF,
    "advisory": auth_pb2.MODERATION_POLICY_ADVISORY,
    "required": auth_pb2.MODERATION_POLICY_REQUIRED,
}
_SCOPES = {"project": auth_pb2.LIMIT_SCOPE_PROJECT, "organization": auth_pb2.LIMIT_SCOPE_ORGANIZATION}


class AuthServicer(auth_pb2_grpc.AuthServiceServicer):
    """Answers gateways."""

    def __init__(
        self,
        *,
        directory: Directory,
        store: Store,
        changes: Changes,
        uses: Uses,
        metrics: Metrics,
        clock: Clock,
        ids: Ids,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._directory = directory
        self._store = store
        self._changes = changes
        self._uses = uses
        self._metrics = metrics
        self._clock = clock
        self._ids = ids
        self._entropy = entropy

    async def Authenticate(
        self, request: auth_pb2.AuthenticateRequest, context: object
    ) -> auth_pb2.AuthenticateResponse:
        """See auth.proto."""
        digests = request.key_digests
        if not 1 <= len(digests) <= MOST_DIGESTS or any(len(digest) != DIGEST_BYTES for digest in digests):
            raise _invalid("key_digests", f"there must be 1 to {MOST_DIGESTS} of {DIGEST_BYTES} bytes")
        self._metrics.batch.observe(len(digests))
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        verdicts = [_verdict(found, now) for found in await self._directory.find(digests)]
        for word, count in Counter(map(_word, verdicts)).items():
            self._metrics.authenticated.labels(word).inc(count)
        for verdict in verdicts:
            if isinstance(verdict, Principal):
                self._uses.note(verdict.row.id)
        return auth_pb2.AuthenticateResponse(results=map(_result, verdicts))

    async def Watch(self, request: auth_pb2.WatchRequest, context: object) -> AsyncIterator[auth_pb2.WatchResponse]:
        """See auth.proto."""
        with self._changes.subscription() as subscription, self._metrics.watchers.track_inprogress():
            yield auth_pb2.WatchResponse()
            while True:
                change = await subscription.next()
                yield auth_pb2.WatchResponse(key_ids=sorted(change.key_ids), project_ids=sorted(change.project_ids))

    async def CreateKey(self, request: auth_pb2.CreateKeyRequest, context: object) -> auth_pb2.CreateKeyResponse:
        """See auth.proto."""
        self._check(request)
        key = keys.mint("proj", self._entropy)
        new = NewKey(
            id=self._ids.new("key_"),
            organization_id=request.organization_id,
            project_id=request.project_id,
            name=request.name,
            digest=keys.digest(key),
            redacted=keys.redact(key),
            scopes=tuple(request.scopes) or (ALL_SCOPES,),
            expires_at=request.expire_time.ToDatetime(UTC) if request.HasField("expire_time") else None,
        )
        await self._store.create_key(new)
        return auth_pb2.CreateKeyResponse(key_id=new.id, key=key)

    async def RevokeKey(self, request: auth_pb2.RevokeKeyRequest, context: object) -> auth_pb2.RevokeKeyResponse:
        """See auth.proto."""
        await self._store.revoke_key(request.organization_id, request.key_id)
        # The database tells it too; this way it holds here before the caller has the answer.
        self._changes.publish(Change(key_ids=frozenset([request.key_id])))
        return auth_pb2.RevokeKeyResponse()

    def _check(self, request: auth_pb2.CreateKeyRequest) -> None:
        if not _NAME.fullmatch(request.name):
            raise _invalid("name", "must have 1 to 100 characters and no control characters")
        if len(request.scopes) > _MOST_SCOPES or not all(map(_SCOPE.fullmatch, request.scopes)):
            raise _invalid("scopes", 'must be "*" or words like model.request')
        if request.HasField("expire_time") and request.expire_time.ToNanoseconds() <= self._clock.now() * 1e9:
            raise _invalid("expire_time", "must be in the future")


def _verdict(found: KeyRow | CapstanError | None, now: datetime) -> Principal | CapstanError:
    if isinstance(found, CapstanError):
        return found
    try:
        return judge(found, now)
    except CapstanError as error:
        return error


def _word(verdict: Principal | CapstanError) -> str:
    return "accepted" if isinstance(verdict, Principal) else verdict.reason.name.lower()


def _result(verdict: Principal | CapstanError) -> auth_pb2.AuthenticateResult:
    if isinstance(verdict, CapstanError):
        return auth_pb2.AuthenticateResult(refusal=failure(verdict))
    return auth_pb2.AuthenticateResult(principal=_principal(verdict))


def _principal(principal: Principal) -> auth_pb2.Principal:
    row = principal.row
    made = auth_pb2.Principal(
        organization_id=row.organization_id,
        project_id=row.project_id,
        key_id=row.id,
        owner_id=row.owner_id,
        scopes=row.scopes,
        allowed_models=row.allowed_models,
        moderation_policy=_POLICIES[row.moderation_policy],
        rate_limits=map(_limit, principal.limits),
        cache_ttl=Duration(seconds=int(FRESH_S)),
    )
    if row.expires_at is not None:
        made.expire_time.CopyFrom(_timestamp(row.expires_at))
    return made


def _limit(limit: Limit) -> auth_pb2.RateLimit:
    return auth_pb2.RateLimit(
        scope=_SCOPES[limit.scope],
        model=limit.model,
        requests_per_minute=limit.requests_per_minute,
        tokens_per_minute=limit.tokens_per_minute,
    )


def _timestamp(instant: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(instant)
    return made


def _invalid(param: str, message: str) -> CapstanError:
    return CapstanError(Reason.INVALID_ARGUMENT, f"{param}: {message}", param=param)
