"""The one way into paid work, and the one way out of it.

In: the model exists and is allowed, limits are reserved while policy is asked, the journal is told, and knows it before
anything leaves. Out: the journal knows how it ended, the reservation is settled by what was used. Whatever ends the
work (done, refused, failed, client gone) passes through the same exit exactly once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.clock import Clock
from chassis.errors import CapstanError, Reason
from services.gateway import cancellation
from services.gateway.caller import Caller
from services.gateway.deltas import Usage
from services.gateway.grant import Grant
from services.gateway.journal import Journal
from services.gateway.limits_headers import Meter
from services.gateway.metrics import Metrics
from services.gateway.peers.moderation import Classifier
from services.gateway.peers.ratelimit import Limiter, Settlement
from services.gateway.peers.router import Placer
from services.gateway.refusals import REFUSALS
from services.gateway.settlements import Settlements
from services.gateway.spending import Quote, Size, Spending
from services.gateway.standings import RateLimited
from services.gateway.usage_record import Endpoint, Outcome, UsageRecord
from services.gateway.work import Work

CHECKPOINT_S = 0.5
"""How often the journal is told how far streams got; with its commit, a death loses less than a second of each."""


class Admission:
    """Opens and closes grants."""

    def __init__(
        self,
        *,
        placer: Placer,
        limiter: Limiter,
        classifier: Classifier,
        spending: Spending,
        hold_s: float,
        journal: Journal,
        settlements: Settlements,
        clock: Clock,
        metrics: Metrics,
        log: logging.Logger,
    ) -> None:
        self._placer = placer
        self._limiter = limiter
        self._classifier = classifier
        self._spending = spending
        self._hold_s = hold_s
        self._journal = journal
        self._settlements = settlements
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._closing: set[asyncio.Task[None]] = set()
        self._open: dict[str, Grant] = {}

    @asynccontextmanager
    async def admit(self, caller: Caller, work: Work, request_id: str) -> AsyncIterator[Grant]:
        """Let one request's work in, for as long as the block lasts.

        Raises `CapstanError` or `RateLimited` when it may not come in; then nothing is charged.
        """
        model = await self._model(caller, work, request_id)
        start_time = self._clock.now()
        quote = await self._quote(caller, work, model, start_time)
        meters, moderated = await self._reserve_and_classify(caller, work, model, request_id, quote)
        record = UsageRecord.begun(
            request_id,
            organization_id=caller.organization_id,
            project_id=caller.project_id,
            key_id=caller.key_id,
            owner_id=caller.owner_id,
            model=model,
            endpoint=work.endpoint,
            start_time=start_time,
            prompt_tokens=work.prompt_tokens,
            batch=work.batch,
            service_tier=work.service_tier,
            price_version=quote.price.version if quote.price is not None else 0,
        )
        beginning = asyncio.get_running_loop().create_task(self._journal.begin(record), name=f"begin {request_id}")
        grant = Grant(
            request_id, caller, work, model, meters, record, quote, moderated, self._finish, self._moved, beginning
        )
        self._open[request_id] = grant
        self._limiter.follow(request_id, lambda: grant.tokens_so_far)
        try:
            if self._journal.is_refusing:  # no replica works on what will most likely not be served
                await grant.begun()
            yield grant
        except BaseException as error:
            self._leave(grant, error)
            raise
        finally:
            self._open.pop(request_id, None)
        if not grant.closed:
            self._leave(grant, CapstanError(Reason.INTERNAL, "the work was left unfinished"))

    def has_ended(self, request_id: str) -> bool:
        """Say whether a request's work is recorded as ended: whatever stops it now takes only its answer away."""
        return (grant := self._open.get(request_id)) is not None and grant.closed

    async def count(self, caller: Caller, model: str, request_id: str) -> list[Meter]:
        """Count a request that costs nothing against the caller's limits of requests; answers how they stand.

        Raises `RateLimited`, or `CapstanError` UNAVAILABLE when limits cannot be checked.
        """
        try:
            return await self._limiter.reserve(request_id, caller, model, 0)
        finally:
            self._settle(request_id, caller, 0)

    async def served_free(
        self, request_id: str, caller: Caller, endpoint: Endpoint, model: str, prompt_tokens: int
    ) -> None:
        """Record, for reports, a request that cost nothing and that `count` counted; `prompt_tokens` is an estimate."""
        record = UsageRecord.begun(
            request_id,
            organization_id=caller.organization_id,
            project_id=caller.project_id,
            key_id=caller.key_id,
            owner_id=caller.owner_id,
            model=model,
            endpoint=endpoint,
            start_time=self._clock.now(),
            prompt_tokens=prompt_tokens,
        )
        self._metrics.observe(model, endpoint, Outcome.OK, Usage(prompt_tokens=prompt_tokens))
        await self._journal.note(dataclasses.replace(record, outcome=Outcome.OK))

    async def checkpoint_for_ever(self) -> None:
        """Tell the journal, again and again, how far what runs has got. Never returns."""
        while True:
            await self._clock.sleep(CHECKPOINT_S)
            self.checkpoint()

    def checkpoint(self) -> None:
        """Tell the journal how far what runs has got."""
        reached = []
        for grant in self._open.values():
            count = 0 if grant.closed else grant.generated_count
            if count > grant.checkpointed:
                grant.checkpointed = count
                reached.append(self._reached(grant))
        self._journal.checkpoint(reached)

    def _moved(self, grant: Grant) -> None:
        self._journal.checkpoint([self._reached(grant)])

    def _reached(self, grant: Grant) -> UsageRecord:
        return grant.served.reached(
            time=self._clock.now(), prompt_tokens=grant.work.prompt_tokens, completion_tokens=grant.checkpointed
        )

    async def _model(self, caller: Caller, work: Work, request_id: str) -> str:
        served = await self._placer.resolve(work.model, work.kind, request_id, caller.organization_id)
        if not caller.may_use(served, work.model, base=self._placer.base(served)):
            raise CapstanError(
                Reason.PERMISSION_DENIED,
                f"Project `{caller.project_id}` does not have access to model `{work.model}`",
                scope="model",
                model=work.model,
                project=caller.project_id,
            )
        return served

    async def _quote(self, caller: Caller, work: Work, model: str, start_time: float) -> Quote:
        size = Size(
            work.prompt_tokens,
            work.texts,
            work.completion_tokens,
            work.bounded,
            work.answer_count,
            self._placer.context_tokens(model),
            work.batch,
            work.service_tier,
            work.prompt_count,
        )
        return await self._spending.quote(caller.organization_id, caller.project_id, model, size, start_time)

    async def _reserve_and_classify(
        self, caller: Caller, work: Work, model: str, request_id: str, quote: Quote
    ) -> tuple[list[Meter], bool]:
        tokens = work.prompt_tokens + work.completion_tokens
        reservation = self._reserve(caller, model, tokens, request_id, quote)
        if caller.moderation == "off":
            try:
                return await reservation, True
            except BaseException:
                self._settle(request_id, caller, 0)
                raise
        reserving = asyncio.ensure_future(reservation)
        try:
            moderated = await self._classify(caller, work)
        except BaseException:
            reserving.cancel()
            try:
                await asyncio.wait([reserving])
                if not reserving.cancelled():
                    reserving.exception()
            finally:  # the client may leave right now
                self._settle(request_id, caller, 0)
            raise
        try:
            return await reserving, moderated
        except BaseException:
            self._settle(request_id, caller, 0)
            raise

    async def _reserve(self, caller: Caller, model: str, tokens: int, request_id: str, quote: Quote) -> list[Meter]:
        try:
            meters = await self._limiter.reserve(request_id, caller, model, tokens, quote.budgets, self._hold_s)
        except RateLimited as refused:
            if refused.error.reason is Reason.QUOTA_EXHAUSTED:
                self._settle_recovered(caller, quote)
            raise
        self._settle_recovered(caller, quote)
        return meters

    def _settle_recovered(self, caller: Caller, quote: Quote) -> None:
        """The meters know what billing posted for a dead gateway's requests, so they need not hold it as well."""
        for one in quote.recovered:
            self._settlements.put(Settlement(one.request_id, caller.organization_id, one.tokens))
        self._spending.forget_recovered(quote.recovered)

    async def _classify(self, caller: Caller, work: Work) -> bool:
        try:
            flagged = await self._classifier.flagged(work.texts())
        except CapstanError:
            if caller.moderation == "required":
                raise
            self._metrics.unmoderated.inc()
            return False
        if flagged and caller.moderation == "required":
            raise CapstanError(
                Reason.CONTENT_REFUSED, "the text is flagged by the project's policy", categories=",".join(flagged)
            )
        return True

    def _leave(self, grant: Grant, error: BaseException) -> None:
        """Close a grant whose work did not end by itself, apart from a request that may be gone already."""
        if grant.closed:
            return
        grant.closed = True
        task = asyncio.get_running_loop().create_task(self._close(grant, error), name=f"close {grant.request_id}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, grant: Grant, error: BaseException) -> None:
        if not (await grant.is_begun() or grant.started):
            self._settle(grant.request_id, grant.caller, 0)
            return
        usage, counted = await grant.used()
        is_refusal = isinstance(error, CapstanError) and error.reason in REFUSALS
        if is_refusal and counted and not usage.total_tokens and not grant.touched:
            self._settle(grant.request_id, grant.caller, 0)
            try:
                await self._journal.void(grant.request_id)
            except CapstanError as failure:
                self._log.error("%s", failure, extra={"request_id": grant.request_id})
            return
        outcome = _outcome(error, served=grant.generated_count > 0)
        if grant.broken and not usage.total_tokens:
            outcome = Outcome.SERVER_ERROR  # whoever left since: an engine may have counted what it did in vain
        await self._finish(grant, outcome, usage, not counted)

    async def _finish(self, grant: Grant, outcome: Outcome, usage: Usage, estimated: bool) -> None:
        charged = outcome not in (Outcome.SERVER_ERROR, Outcome.ENGINE_ERROR)
        amount, price = 0, grant.quote.price
        if charged and price is not None:
            amount = price.amount_nanousd(usage, batch=grant.work.batch, tier=grant.work.service_tier)
        self._metrics.observe(grant.model, grant.work.endpoint, outcome, usage)
        try:
            await self._recorded(grant.served, outcome, usage, estimated)
        finally:  # after it: what is settled here and unfinished there would be settled by billing once more
            self._settle(grant.request_id, grant.caller, usage.total_tokens if charged else 0, amount)

    async def _recorded(self, begun: UsageRecord, outcome: Outcome, usage: Usage, estimated: bool) -> None:
        record = begun.ended(
            outcome,
            finish_time=self._clock.now(),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_prompt_tokens=usage.cached_prompt_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            usage_estimated=estimated,
        )
        try:
            await self._journal.finish(record)
        except CapstanError as failure:
            # The journal keeps it and tries again; the answer was made and may leave.
            self._log.error("%s", failure, extra={"request_id": record.request_id})

    def _settle(self, request_id: str, caller: Caller, tokens: int, amount_nanousd: int = 0) -> None:
        told = self._limiter.ended(Settlement(request_id, caller.organization_id, tokens, amount_nanousd))
        if told is not None:
            self._settlements.put(told)

    async def closed(self, within_s: float) -> None:
        """Wait until every grant is closed, at most `within_s`."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=within_s)


def _outcome(error: BaseException, *, served: bool) -> Outcome:
    """Say how work ended that was cut short; `served`: after the first token."""
    if isinstance(error, asyncio.CancelledError):
        return cancellation.outcome(error, served=served)
    if isinstance(error, CapstanError) and error.metadata.get("service") == "client":
        return Outcome.CLIENT_CLOSED
    if isinstance(error, CapstanError) and error.reason is Reason.DEADLINE_EXCEEDED:
        return Outcome.TRUNCATED if served else Outcome.SERVER_ERROR
    return Outcome.ENGINE_ERROR if served else Outcome.SERVER_ERROR


__all__ = ["Admission", "RateLimited", "Work"]
