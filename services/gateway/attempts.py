"""One request's attempts: placed on one replica after another, the failed ones excluded, and released from each.

This is the one owner of retries. Before its first token a request is tried once more elsewhere, under a budget; after
it, plain text is taken up elsewhere where it broke off (`resume`), under a budget of its own: it costs an engine that
was doing the work already, while second attempts are what storms are made of.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from chassis.errors import CapstanError, Reason
from chassis.outbox import Outbox
from services.gateway.deltas import Delta
from services.gateway.endpoints import Placement
from services.gateway.grant import Grant
from services.gateway.metrics import Metrics
from services.gateway.peers.billing import serialized
from services.gateway.peers.inbox import BEGUN, Inbox, Patience
from services.gateway.peers.inference import Replicas, Start
from services.gateway.peers.inference_start import continued, may_continue
from services.gateway.peers.prompt_hashes import body_hash, prefix_hashes, session_hash
from services.gateway.peers.router import Errand, Placer, Release, ReplicaOutcome
from services.gateway.retry_budget import RetryBudget
from services.gateway.terms import Terms

Batch = Sequence[tuple[int, Delta]]

MOST_RESUMPTIONS = 2

# What says something against the replica; all else says something about the request.
FAULTS: dict[Reason, ReplicaOutcome] = {
    Reason.UNAVAILABLE: "unreachable",
    Reason.ENGINE_FAILED: "failed",
    Reason.INTERNAL: "failed",
    Reason.DEADLINE_EXCEEDED: "timed_out",
}


def verdict(error: CapstanError) -> ReplicaOutcome:
    """Judge the replica by how a request ended there: a client's own slowness or haste says nothing against it."""
    if error.metadata.get("limit") == "request" or error.metadata.get("service") == "client" or is_stopping(error):
        return "ok"
    if error.reason is Reason.UNAVAILABLE and BEGUN in error.metadata:
        return "failed"
    return FAULTS.get(error.reason, "ok")


def is_stopping(error: CapstanError) -> bool:
    """Say whether the replica refused because it drains, which it has every right to."""
    return error.metadata.get("stopping") == "true"


def may_try_again(error: CapstanError) -> bool:
    """Say whether another replica might do better."""
    return verdict(error) != "ok" or error.reason is Reason.OVERLOADED or is_stopping(error)


@dataclass(frozen=True, slots=True)
class Rules:
    """How long attempts take, and whether what broke off is taken up elsewhere."""

    patience: Patience
    queue_s: float
    """Longest wait for a place."""
    migrate: bool = True


@dataclass(frozen=True, slots=True)
class Parts:
    """What attempts are made with."""

    placer: Placer
    replicas: Replicas
    releases: Outbox[Release]
    retries: RetryBudget
    migrations: RetryBudget
    metrics: Metrics


class Attempts:
    """The attempts of one request."""

    def __init__(
        self, parts: Parts, rules: Rules, grant: Grant, starts: Sequence[Start], terms: Terms, *, whole: bool
    ) -> None:
        """`whole`: the client gets nothing before all is there, so its patience bounds the request."""
        self._parts = parts
        self._rules = rules
        self._grant = grant
        self._starts = starts
        self._begin = asyncio.get_running_loop().time()
        patience = rules.patience
        if whole and terms.patience_s is not None and terms.patience_s < patience.request_s:
            patience = dataclasses.replace(patience, request_s=terms.patience_s)
        self._patience = patience
        self._excluded: list[str] = []
        self._resumptions = MOST_RESUMPTIONS if rules.migrate and may_continue(starts) else 0
        work, tenant = grant.work, grant.caller.organization_id
        self._errand = Errand(
            grant.request_id,
            grant.model,
            work.kind,
            work.prompt_tokens,
            work.completion_tokens,
            tenant,
            prefix_hashes(starts[0], tenant),
            session_hash(terms.session, starts[0], tenant),
            body_hash(starts, tenant),
            terms.service_class,
            # What a budget holds was counted at the price of the model that was asked for.
            no_fallback=grant.caller.chooses_models or bool(grant.quote.budgets),
        )
        self._placement: Placement | None = None
        self._released = False
        """Whether the present placement was released already."""
        self.inbox = Inbox(patience, self._begin)
        """Of the present attempt."""
        self.started = False
        """Whether a replica was asked for the present attempt."""

    @property
    def placement(self) -> Placement:
        """Where the present attempt is."""
        assert self._placement is not None
        return self._placement

    @property
    def resumable(self) -> bool:
        """Whether what breaks off may be taken up elsewhere."""
        return self._resumptions > 0

    async def first(self) -> Batch:
        """Answer the first news, from the second replica if need be. Raises `CapstanError`."""
        for budget in (self._parts.retries, self._parts.migrations):
            budget.note_request(self._begin)
        try:
            return await self._attempt(self._starts)
        except CapstanError as error:
            if not may_try_again(error) or self._placement is None:
                raise
            await self._exclude(error, self._parts.retries)
            self._parts.metrics.second_attempts.labels(self._grant.model).inc()
            return await self._again(self._starts, error)

    async def resume(self, text: str, error: CapstanError) -> Batch:
        """Go on elsewhere after `text`; answer the first news from there. Raises `error` when that cannot be."""
        if not self.resumable or not may_try_again(error):
            raise error
        self._resumptions -= 1
        await self._exclude(error, self._parts.migrations)
        self._errand = dataclasses.replace(self._errand, model=self.placement.model, no_fallback=True)
        batch = await self._again([continued(self._starts[0], text)], error)
        self._parts.metrics.migrations.labels(self._grant.model).inc()
        return batch

    def leave(self, outcome: ReplicaOutcome) -> None:
        """Stop what still runs and release the place."""
        self.inbox.abort()
        if self._placement is not None and not self._released:
            self._note(release := self._release(outcome))
            self._parts.releases.put(release)
        else:
            # It may have been placed although nobody heard where.
            self._parts.releases.put(Release(self._grant.request_id, "abandoned"))

    async def _again(self, starts: Sequence[Start], error: CapstanError) -> Batch:
        try:
            return await self._attempt(starts)
        except CapstanError as second:
            # That nobody else was there is no news for the client; what broke is.
            raise (error if second.reason is Reason.NO_CAPACITY else second) from None

    async def _attempt(self, starts: Sequence[Start]) -> Batch:
        """Place the request, start every prompt and wait for the first news."""
        now = asyncio.get_running_loop().time
        left_s = self._begin + self._patience.request_s - now()
        wait_s = min(self._rules.queue_s, left_s)
        self._placement = await self._parts.placer.place(self._errand, self._excluded, wait_s)
        self._released = False
        self._grant.runs_on(self._placement.model)
        self.inbox = Inbox(self._patience, self._begin)
        self.started = True
        session = self._parts.replicas.session(self._placement.address)
        left_s = max(0.001, self._begin + self._patience.request_s - now())
        ceiling = self._grant.quote.most_completion_tokens
        base, admission = 0, serialized(self._grant.served)
        for start in starts:
            start.request_id = self._grant.request_id if len(starts) == 1 else f"{self._grant.request_id}-{base}"
            start.organization_id = self._grant.caller.organization_id
            start.admission = admission
            start.adapter = self._placement.adapter
            start.adapter_path = self._placement.adapter_path
            if ceiling is not None and not start.sampling.HasField("max_tokens"):
                start.sampling.max_tokens = ceiling
            start.time_left.FromMilliseconds(max(1, int(left_s * 1000)))
            session.start(start, base, self.inbox)
            base += max(1, start.sampling.choice_count)
        return await self.inbox.take(now())

    async def _exclude(self, error: CapstanError, budget: RetryBudget) -> None:
        """Leave the replica that failed, for another. Raises `error` when the budget for that is used up."""
        self.inbox.abort()
        if not is_stopping(error) and not budget.take(asyncio.get_running_loop().time()):
            raise error
        release = self._release(verdict(error))
        self._grant.broken |= release.outcome != "ok" or not self.inbox.untouched
        self.started = False
        self._released = True
        self._excluded.append(self.placement.replica_id)
        self._note(release)
        # Not through the outbox: it could overtake the next placement and blame the wrong replica.
        with contextlib.suppress(CapstanError):
            await self._parts.placer.release([release])

    def _release(self, outcome: ReplicaOutcome) -> Release:
        where = self._placement.replica_id if self._placement is not None else ""
        return Release(self._grant.request_id, outcome, where)

    def _note(self, release: Release) -> None:
        self._parts.placer.noticed(release)
