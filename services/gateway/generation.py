"""Tokens for one request: place it, run it, and, until its first token, try once elsewhere when its replica fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chassis.errors import CapstanError, Reason
from services.gateway.admission import Grant
from services.gateway.deltas import Delta, Usage
from services.gateway.metrics import Metrics
from services.gateway.outbox import Outbox
from services.gateway.peers.inference import Inbox, Patience, Replicas, Start
from services.gateway.peers.router import Placement, Placer, Release, ReplicaOutcome
from services.gateway.retry_budget import RetryBudget

Batch = list[tuple[int, Delta]]

ABORT_ANSWER_S = 2.0
"""How long an aborted request's own token count is waited for before the delivered deltas are counted instead."""

# What says something against the replica; all else says something about the request.
FAULTS: dict[Reason, ReplicaOutcome] = {
    Reason.UNAVAILABLE: "unreachable",
    Reason.ENGINE_FAILED: "failed",
    Reason.INTERNAL: "failed",
    Reason.DEADLINE_EXCEEDED: "timed_out",
}
RETRIED = frozenset({*FAULTS, Reason.OVERLOADED})


class Generation:
    """The deltas of one request. Its first batch is here when it is handed out."""

    def __init__(self, grant: Grant, placement: Placement, inbox: Inbox, first: Batch) -> None:
        self.grant = grant
        self.placement = placement
        self._inbox = inbox
        self._first = first
        self._token_count = 0

    async def batches(self) -> AsyncIterator[Batch]:
        """Answer the deltas in order, as many at a time as have arrived.

        Raises `CapstanError` when the replica fails in the middle; there is no second attempt after the first token.
        """
        now = asyncio.get_running_loop().time
        batch = self._first
        while batch:
            for _, delta in batch:
                self._token_count += delta.token_count
            yield batch
            batch = await self._inbox.take(now())

    def generated(self) -> int:
        """Answer the tokens that were handed out so far, over all choices."""
        return self._token_count

    @property
    def usage(self) -> Usage:
        """The engine's count; complete once `batches` has ended."""
        return self._inbox.usage

    async def late_usage(self) -> tuple[Usage, bool]:
        """Answer what was used by work that was cut short, and whether the engine counted it."""
        if await self._inbox.ended(ABORT_ANSWER_S) and self._inbox.usage.prompt_tokens:
            return self._inbox.usage, True
        estimated = self.grant.usage.prompt_tokens or self.grant.work.prompt_tokens
        return Usage(prompt_tokens=estimated, completion_tokens=self._token_count), False


class Generator:
    """Runs generations on whatever replicas the router names."""

    def __init__(
        self,
        *,
        placer: Placer,
        replicas: Replicas,
        releases: Outbox[Release],
        patience: Patience,
        budget: RetryBudget,
        metrics: Metrics,
    ) -> None:
        self._placer = placer
        self._replicas = replicas
        self._releases = releases
        self._patience = patience
        self._budget = budget
        self._metrics = metrics

    @asynccontextmanager
    async def start(self, grant: Grant, starts: Sequence[Start]) -> AsyncIterator[Generation]:
        """Run `starts` (one per prompt) on one replica, and stop them when the block is left.

        Choices are numbered through: the choices of the second start follow those of the first. Raises `CapstanError`
        when no replica brings a first token.
        """
        begin = asyncio.get_running_loop().time()
        outcome: ReplicaOutcome = "ok"
        self._budget.note_request()
        excluded: list[str] = []
        inbox: Inbox | None = None
        try:
            while True:
                placement = await self._place(grant, excluded)
                inbox = Inbox(self._patience, begin)
                try:
                    first = await self._first(grant, placement, starts, inbox)
                    break
                except CapstanError as error:
                    inbox.abort()
                    if error.reason not in RETRIED or excluded or not self._budget.take():
                        raise
                    excluded.append(placement.replica_id)
                    # Not through the outbox: it could overtake the next placement and blame the wrong replica.
                    await self._placer.release([Release(grant.request_id, FAULTS.get(error.reason, "ok"))])
                    self._metrics.second_attempts.labels(grant.model).inc()
            self._metrics.first_token.labels(grant.model).observe(asyncio.get_running_loop().time() - begin)
            generation = Generation(grant, placement, inbox, first)
            grant.late_usage = generation.late_usage
            grant.generated = generation.generated
            yield generation
        except CapstanError as error:
            outcome = FAULTS.get(error.reason, "ok")
            raise
        finally:
            if inbox is not None:
                inbox.abort()
            self._releases.put(Release(grant.request_id, outcome))

    async def _place(self, grant: Grant, excluded: Sequence[str]) -> Placement:
        return await self._placer.place(
            grant.request_id,
            grant.model,
            grant.work.kind,
            grant.work.prompt_tokens,
            grant.work.completion_tokens,
            excluded,
        )

    async def _first(self, grant: Grant, placement: Placement, starts: Sequence[Start], inbox: Inbox) -> Batch:
        """Start every prompt and wait for the first news."""
        session = self._replicas.session(placement.address)
        base = 0
        for start in starts:
            start.request_id = grant.request_id if len(starts) == 1 else f"{grant.request_id}-{base}"
            start.organization_id = grant.caller.organization_id
            start.time_left.FromMilliseconds(int(self._patience.request_s * 1000))
            session.start(start, base, inbox)
            base += max(1, start.sampling.choice_count)
        return await inbox.take(asyncio.get_running_loop().time())
