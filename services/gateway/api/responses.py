"""`POST /v1/responses`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import cache

import orjson

from chassis.errors import CapstanError
from services.gateway import estimate, response_answers
from services.gateway.admission import Work
from services.gateway.api.generated import finish, headers, keep_alive_s, opened
from services.gateway.api.hot import Answer, Exchange, Whole
from services.gateway.api.keeping import items_of, keep, recall, resolved
from services.gateway.caller import Caller
from services.gateway.conversation import RESPONSE_PREFIX, Turn, check_json_is_asked_for, conversation, input_items
from services.gateway.desk import Desk
from services.gateway.generation import Generation
from services.gateway.grant import Grant
from services.gateway.kept import Json, Kept
from services.gateway.peers.response_start import response_start
from services.gateway.response_answers import EventWriter, Head
from services.gateway.response_output import Output
from services.gateway.schema.response_format import JsonObjectFormat
from services.gateway.schema.responses import ResponseRequest
from services.gateway.stream import EventStream
from services.gateway.terms import Terms
from services.gateway.usage_record import Endpoint


async def create_response(desk: Desk, caller: Caller, body: ResponseRequest, exchange: Exchange) -> Answer:
    """Answer one request, whole or streamed."""
    response_id, items, turns = await read(desk, caller, body, exchange)
    async with AsyncExitStack() as stack:
        work = _work(desk, caller, body, turns, exchange.terms)
        grant = await stack.enter_async_context(desk.admission.admit(caller, work, exchange.request_id))
        starts = [response_start(body, turns)]
        output = Output(response_id, logprobs=body.wants_logprobs)
        if body.stream:
            opening = await opened(desk, grant, starts, held := stack.pop_all(), exchange)
            return _stream(desk, grant, opening, body, output, items, held, exchange)
        generation = await stack.enter_async_context(desk.generator.start(grant, starts, exchange.terms, whole=True))
        async for batch in generation.batches():
            for _, delta in batch:
                output.take(delta)
        output.close()
        answer = await _ended(desk, grant, generation, _head(desk, grant, body, output), output, items)
        return Whole(orjson.dumps(answer), headers(grant, exchange))


def _head(desk: Desk, grant: Grant, body: ResponseRequest, output: Output) -> Head:
    return Head(output.response_id, int(desk.clock.now()), grant.model, response_answers.echo(body))


async def read(
    desk: Desk, caller: Caller, body: ResponseRequest, exchange: Exchange
) -> tuple[str, list[Json], list[Turn]]:
    """Make the response's id, the items that the request adds, and all that the model shall read.

    Raises `ApiError` or `CapstanError` when what the request goes on from is not there.
    """
    response_id = RESPONSE_PREFIX + exchange.request_id.removeprefix("req_")
    told = items_of(await recall(desk, caller, body.previous_response_id))
    items = await resolved(desk, caller, input_items(body.input, response_id), told)
    turns = conversation(body.instructions, [*told, *items])
    if isinstance(body.shape, JsonObjectFormat):
        check_json_is_asked_for(turns)
    return response_id, items, turns


async def _ended(
    desk: Desk, grant: Grant, generation: Generation, head: Head, output: Output, items: list[Json]
) -> Json:
    """Make the response that came to its end; returns when everything that must last is durable.

    One that should be kept and cannot be says `store: false`.
    """
    answer = response_answers.ended(head, output, generation.usage, int(desk.clock.now()))
    await finish(desk, grant, generation, 1)
    if answer["store"]:
        previous_id = answer["previous_response_id"] or ""
        kept = Kept(head.response_id, head.model, answer["metadata"], answer, items, previous_id)
        if not await keep(desk, grant.caller, "response", kept, grant.request_id):
            answer["store"] = False
    return answer


def _stream(
    desk: Desk,
    grant: Grant,
    opening: asyncio.Task[Generation],
    body: ResponseRequest,
    output: Output,
    items: list[Json],
    held: AsyncExitStack,
    exchange: Exchange,
) -> EventStream:
    @cache
    def begun() -> tuple[Head, EventWriter]:
        # Only now, when it is known what serves it.
        head = _head(desk, grant, body, output)
        return head, EventWriter(head, output)

    async def events() -> AsyncIterator[bytes]:
        generation = await opening
        head, writer = begun()
        yield writer.begin()
        async for batch in generation.batches():
            told = writer.write(delta for _, delta in batch)
            if told:
                yield told
        closing = writer.close()
        yield closing + writer.end(await _ended(desk, grant, generation, head, output, items))

    def error_event(error: CapstanError) -> bytes:
        return begun()[1].fail(exchange.error(error))

    return EventStream(
        events(),
        headers(grant, exchange),
        held,
        error_event=error_event,
        metrics=desk.metrics,
        keep_alive_s=keep_alive_s(desk, exchange),
        late=not opening.done(),
    )


def _work(desk: Desk, caller: Caller, body: ResponseRequest, turns: list[Turn], terms: Terms) -> Work:
    characters = sum(turn.characters for turn in turns)
    for function in body.calling.functions:
        characters += len(function.name) + len(function.description or "") + len(function.parameters_json)
    return Work(
        endpoint=Endpoint.RESPONSES,
        kind="generate",
        model=body.model,
        prompt_tokens=estimate.prompt_tokens(characters, len(turns)),
        completion_tokens=body.max_output_tokens or desk.forecast.tokens(caller.key_id, body.model),
        texts=lambda: [turn.text for turn in turns],
        bounded=body.max_output_tokens is not None,
        service_tier=terms.service_class,
    )
