"""`POST /v1/chat/completions`."""

from __future__ import annotations

from contextlib import AsyncExitStack

import orjson

from services.gateway import chat_answers, estimate
from services.gateway.admission import Work
from services.gateway.api.chat_objects import kept_messages
from services.gateway.api.generated import finish, head, headers, stream
from services.gateway.api.hot import Answer, Exchange, Whole
from services.gateway.api.keeping import keep
from services.gateway.caller import Caller
from services.gateway.chat_answers import Head
from services.gateway.collected import Choice, collect
from services.gateway.desk import Desk
from services.gateway.generation import Generation
from services.gateway.kept import Kept
from services.gateway.peers.inference_start import chat_start
from services.gateway.schema.chat import ChatCompletionRequest
from services.gateway.terms import Terms
from services.gateway.usage_record import Endpoint


async def create_chat_completion(desk: Desk, caller: Caller, body: ChatCompletionRequest, exchange: Exchange) -> Answer:
    """Answer one chat request, whole or streamed."""
    async with AsyncExitStack() as stack:
        work = _work(desk, caller, body, exchange.terms)
        grant = await stack.enter_async_context(desk.admission.admit(caller, work, exchange.request_id))
        starts = [chat_start(body)]
        words = chat_answers.CallWords(body.calling.legacy, body.calling.mode == "named")

        def whole(generation: Generation, choices: list[Choice]) -> bytes:
            return chat_answers.completion(
                head(grant, generation, "chatcmpl-"),
                choices,
                generation.usage,
                logprobs=bool(body.logprobs),
                service_tier=exchange.terms.service_class,
                words=words,
            )

        async def kept(generation: Generation, choices: list[Choice]) -> None:
            answer = _kept(body, head(grant, generation, "chatcmpl-"), whole(generation, choices))
            await keep(desk, caller, "chat_completion", answer, exchange.request_id)

        def writer_of(generation: Generation) -> chat_answers.ChunkWriter:
            return chat_answers.ChunkWriter(
                head(grant, generation, "chatcmpl-"),
                include_usage=body.wants_usage_chunk,
                logprobs=bool(body.logprobs),
                service_tier=exchange.terms.service_class,
                words=words,
            )

        if body.stream:
            held = stack.pop_all()
            return await stream(desk, grant, starts, body, writer_of, held, exchange, kept if body.store else None)
        generation = await stack.enter_async_context(desk.generator.start(grant, starts, exchange.terms, whole=True))
        choices = await collect(generation.batches(), body.choice_count)
        await finish(desk, grant, generation, body.choice_count)
        if body.store:
            await kept(generation, choices)
        return Whole(whole(generation, choices), headers(grant, exchange))


def _kept(body: ChatCompletionRequest, head: Head, answer: bytes) -> Kept:
    messages = kept_messages(body.messages, head.answer_id)
    return Kept(head.answer_id, head.model, body.metadata or {}, orjson.loads(answer), messages)


def _work(desk: Desk, caller: Caller, body: ChatCompletionRequest, terms: Terms) -> Work:
    completion = body.token_ceiling or desk.forecast.tokens(caller.key_id, body.model)
    return Work(
        endpoint=Endpoint.CHAT_COMPLETIONS,
        kind="generate",
        model=body.model,
        prompt_tokens=estimate.prompt_tokens(body.prompt_characters, len(body.messages)),
        completion_tokens=completion * body.choice_count,
        bounded=body.token_ceiling is not None,
        answer_count=body.choice_count,
        texts=lambda: body.texts,
        service_tier=terms.service_class,
    )
