"""Wire in, wire out."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime

from capstan.auth.v1 import auth_pb2, auth_pb2_grpc
from chassis.clock import Clock, utc
from chassis.errors import CapstanError, failure
from services.auth import fields, wire
from services.auth.directory import Directory
from services.auth.metrics import Metrics
from services.auth.principals import KeyRow, Principal, judge
from services.auth.uses import Uses
from services.auth.watch import Changes

MOST_DIGESTS = 1000
DIGEST_BYTES = 32


class AuthServicer(auth_pb2_grpc.AuthServiceServicer):
    """Answers gateways."""

    def __init__(
        self,
        *,
        directory: Directory,
        changes: Changes,
        uses: Uses,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._changes = changes
        self._uses = uses
        self._metrics = metrics
        self._clock = clock

    async def Authenticate(
        self, request: auth_pb2.AuthenticateRequest, context: object
    ) -> auth_pb2.AuthenticateResponse:
        """See auth.proto."""
        digests = request.key_digests
        if not 1 <= len(digests) <= MOST_DIGESTS or any(len(digest) != DIGEST_BYTES for digest in digests):
            raise fields.invalid("key_digests", f"there must be 1 to {MOST_DIGESTS} of {DIGEST_BYTES} bytes")
        self._metrics.batch.observe(len(digests))
        now = utc(self._clock)
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
    return auth_pb2.AuthenticateResult(principal=wire.principal(verdict))
