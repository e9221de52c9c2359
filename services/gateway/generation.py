"""Tokens for one request, from whatever replicas it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chassis.errors import CapstanError
from services.gateway.attempts import Attempts, Batch, Parts, Rules, verdict
from services.gateway.deltas import Usage
from services.gateway.endpoints import Placement
from services.gateway.grant import Grant
from services.gateway.peers.inference import Start
from services.gateway.peers.router import ReplicaOutcome
from services.gateway.terms import Terms

ABORT_ANSWER_S = 2.0
"""How long an aborted request's own token count is waited for before the delivered deltas are counted instead."""


class Generation:
    """The deltas of one request. Its first batch is here when it is handed out."""

    def __init__(self, grant: Grant, attempts: Attempts) -> None:
        self.grant = grant
        self._attempts = attempts
        self._first: Batch = ()
        self._token_count = 0
        self._text: list[str] = []
        """What was told, while it may be needed to go on elsewhere."""
        self._thought = False
        """Whether thoughts were told: another replica cannot be told of them, so it cannot go on after them."""

    @property
    def placement(self) -> Placement:
        """Where it runs now."""
        return self._attempts.placement

    async def begin(self) -> None:
        """Wait for the first batch. Raises `CapstanError` when no replica brings it."""
        self._first = await self._attempts.first()

    async def batches(self) -> AsyncIterator[Batch]:
        """Answer the deltas in order, as many at a time as have arrived.

        When the replica fails in the middle, plain text goes on elsewhere where it broke off, nothing lost and nothing
        twice. Raises `CapstanError` when it cannot.
        """
        now = asyncio.get_running_loop().time
        batch = self._first
        while batch:
            keeps = self._attempts.resumable
            for _, delta in batch:
                self._token_count += delta.token_count
                if keeps:
                    self._text.append(delta.text)
                    self._thought = self._thought or bool(delta.reasoning)
            yield batch
            try:
                batch = await self._attempts.inbox.take(now())
            except CapstanError as error:
                batch = await self._resumed(error)

    async def _resumed(self, error: CapstanError) -> Batch:
        if self._thought:
            raise error
        return await self._attempts.resume("".join(self._text), error)

    def generated(self) -> int:
        """Answer the tokens that were handed out so far, over all choices."""
        return self._token_count

    @property
    def counted(self) -> bool:
        """Whether the engine said what it used. One that ends without a word is not free: see `usage`."""
        inbox = self._attempts.inbox
        if inbox.untold:
            return False
        return self._token_count == 0 or (inbox.usage.prompt_tokens > 0 and inbox.usage.completion_tokens > 0)

    @property
    def usage(self) -> Usage:
        """The engine's count, or the tokens delivered where it has none; complete once `batches` has ended."""
        return self._attempts.inbox.usage if self.counted else self._delivered

    @property
    def _delivered(self) -> Usage:
        return Usage(prompt_tokens=self.grant.work.prompt_tokens, completion_tokens=self._token_count)

    async def late_usage(self) -> tuple[Usage, bool]:
        """Answer what was used by work that was cut short, and whether engines counted it.

        A prompt was worked on from the moment in which a replica heard of it, whatever came of it.
        """
        started, inbox = self._attempts.started, self._attempts.inbox
        if started and await inbox.ended(ABORT_ANSWER_S) and self.counted:
            return inbox.usage, True
        if not self._token_count and (not started or inbox.unheard):
            return Usage(), True
        return self._delivered, False


class Generator:
    """Runs generations on whatever replicas the router names."""

    def __init__(self, parts: Parts, rules: Rules) -> None:
        self._parts = parts
        self._rules = rules

    @asynccontextmanager
    async def start(
        self, grant: Grant, starts: Sequence[Start], terms: Terms, *, whole: bool
    ) -> AsyncIterator[Generation]:
        """Run `starts` (one per prompt) on one replica, and stop them when the block is left.

        Choices are numbered through: the choices of the second start follow those of the first. `whole`: the client
        gets nothing before all is there. Raises `CapstanError` when no replica brings a first token.
        """
        begin = asyncio.get_running_loop().time()
        attempts = Attempts(self._parts, self._rules, grant, starts, terms, whole=whole)
        generation = Generation(grant, attempts)
        grant.late_usage, grant.generated = generation.late_usage, generation.generated
        grant.started = True
        outcome: ReplicaOutcome = "ok"
        try:
            await generation.begin()
            await grant.begun()
            self._parts.metrics.first_token.labels(grant.model).observe(asyncio.get_running_loop().time() - begin)
            yield generation
        except CapstanError as error:
            outcome = verdict(error)
            if not attempts.inbox.begun and error.metadata.get("limit") == "request":
                outcome = "abandoned"
            raise
        except asyncio.CancelledError:
            if not attempts.inbox.begun:
                outcome = "abandoned"
            raise
        finally:
            attempts.leave(outcome)
