"""What chat and legacy completions share: from an open generation to an answer, whole or streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from services.gateway.api.hot import Exchange, Headers
from services.gateway.chat_answers import Head
from services.gateway.collected import Choice, take
from services.gateway.deltas import Delta, Usage
from services.gateway.desk import Desk
from services.gateway.errors import envelope
from services.gateway.generation import Generation
from services.gateway.grant import Grant
from services.gateway.limits_headers import headers as limit_headers
from services.gateway.peers.inference import Start
from services.gateway.schema.sampling import SamplingRequest
from services.gateway.stream import DONE, EventStream
from services.gateway.usage_record import Outcome

Keep = Callable[[Generation, list[Choice]], Awaitable[None]]
"""Keeps an answer of these choices; returns when it is durable, or cannot be kept."""


class Writer(Protocol):
    """Turns deltas into the chunks of one endpoint."""

    def write(self, batch: Sequence[tuple[int, Delta]]) -> bytes: ...  # noqa: D102
    def usage(self, usage: Usage) -> bytes: ...  # noqa: D102


def head(grant: Grant, generation: Generation, prefix: str) -> Head:
    """Make what every piece of the answer repeats; the answer's id shares its digits with the request's."""
    return Head(
        answer_id=prefix + grant.request_id.removeprefix("req_"),
        created=int(grant.record.start_time),
        model=generation.placement.model,
        fingerprint=generation.placement.fingerprint,
    )


def headers(grant: Grant, exchange: Exchange) -> Headers:
    """Who pays, and how the limits stand after this request's reservation."""
    return [*exchange.tenant_headers, *limit_headers(grant.meters)]


def keep_alive_s(desk: Desk, exchange: Exchange) -> float:
    """How long a stream may be silent before a comment: half of what the client bears, if that is less."""
    patience_s = exchange.terms.patience_s
    return desk.settings.keep_alive_s if patience_s is None else min(desk.settings.keep_alive_s, patience_s / 2)


async def finish(desk: Desk, grant: Grant, generation: Generation, choice_count: int) -> None:
    """Record an answer that ended by itself; returns when that is durable, so only then may its last byte leave."""
    usage = generation.usage
    desk.forecast.observe(grant.caller.key_id, grant.work.model, usage.completion_tokens // choice_count)
    await grant.finish(Outcome.OK, usage, estimated=not generation.counted)


async def opened(
    desk: Desk, grant: Grant, starts: Sequence[Start], held: AsyncExitStack, exchange: Exchange
) -> asyncio.Task[Generation]:
    """Start the work of a stream; `held`, which holds the grant, holds the generation too from now on.

    Until the first token, and for the keep-alive interval at the most, the status of the answer stays open: what
    fails till then is raised. After it the client gets its head and learns of a failure from an event.
    """
    opening: asyncio.Task[Generation]

    async def abandon() -> None:
        if not opening.done():
            opening.cancel()
            await asyncio.wait([opening])
        if not opening.cancelled():
            opening.exception()

    async with AsyncExitStack() as guard:
        await guard.enter_async_context(held)
        opening = asyncio.get_running_loop().create_task(
            held.enter_async_context(desk.generator.start(grant, starts, exchange.terms, whole=False)),
            name=f"first token of {grant.request_id}",
        )
        # Runs after the generation's own end, if that was reached.
        held.push_async_callback(abandon)
        await asyncio.wait([opening], timeout=keep_alive_s(desk, exchange))
        if opening.done():
            await opening
        guard.pop_all()
    return opening


async def stream(
    desk: Desk,
    grant: Grant,
    starts: Sequence[Start],
    body: SamplingRequest,
    writer_of: Callable[[Generation], Writer],
    held: AsyncExitStack,
    exchange: Exchange,
    keep: Keep | None = None,
) -> EventStream:
    """Start the work and make the streamed answer, which `keep` keeps. `held` holds grant and generation till its end.

    What fails before the head has left is raised, as by `opened`.
    """
    opening = await opened(desk, grant, starts, held, exchange)

    async def events() -> AsyncIterator[bytes]:
        generation = await opening
        writer = writer_of(generation)
        choices = [Choice() for _ in range(body.choice_count)] if keep else []
        async for batch in generation.batches():
            if keep:
                take(choices, batch)
            chunk = writer.write(batch)
            if chunk:
                yield chunk
        await finish(desk, grant, generation, body.choice_count)
        if keep:
            await keep(generation, choices)
        yield (writer.usage(generation.usage) if body.wants_usage_chunk else b"") + DONE

    return EventStream(
        events(),
        headers(grant, exchange),
        held,
        error_event=lambda error: b"data: " + envelope(exchange.error(error)) + b"\n\n",
        metrics=desk.metrics,
        keep_alive_s=keep_alive_s(desk, exchange),
        late=not opening.done(),
    )
