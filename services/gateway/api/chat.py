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
from services.gateway.kept import Kept
from services.gateway.peers.inference_start import chat_start
from services.gateway.schema.chat import ChatCompletionRequest
from services.gateway.usage_record import Endpoint

SERVICE_TIER = "default"
"""The only tier there is; what was asked for is accepted and this is what was given."""


async def create_chat_completion(desk: Desk, caller: Caller, body: ChatCompletionRequest, exchange: Exchange) -> Answer:
    """Answer one chat request, whole or streamed."""
    async with AsyncExitStack() as stack:
        work = _work(desk, caller, body)
        grant = await stack.enter_async_context(desk.admission.admit(caller, work, exchange.request_id))
        generation = await stack.enter_async_context(desk.generator.start(grant, [chat_start(body)]))
        answer_head = head(desk, grant, generation, "chatcmpl-")
        logprobs = bool(body.logprobs)
        words = chat_answers.CallWords(body.calling.legacy, body.calling.mode == "named")

        def whole(choices: list[Choice]) -> bytes:
            return chat_answers.completion(
                answer_head, choices, generation.usage, logprobs=logprobs, service_tier=SERVICE_TIER, words=words
            )

        async def kept(choices: list[Choice]) -> None:
            answer = whole(choices)
            await keep(desk, caller, "chat_completion", _kept(body, answer_head, answer), exchange.request_id)

        if not body.stream:
            choices = await collect(generation.batches(), body.choice_count)
            await finish(desk, grant, generation, body.choice_count)
            if body.store:
                await kept(choices)
            return Whole(whole(choices), headers(grant, exchange))
        writer = chat_answers.ChunkWriter(
            answer_head,
            include_usage=body.wants_usage_chunk,
            logprobs=logprobs,
            service_tier=SERVICE_TIER,
            words=words,
        )
        return stream(
            desk, grant, generation, body, writer, stack.pop_all(), exchange, keep=kept if body.store else None
        )


def _kept(body: ChatCompletionRequest, head: Head, answer: bytes) -> Kept:
    messages = kept_messages(body.messages, head.answer_id)
    return Kept(head.answer_id, head.model, body.metadata or {}, orjson.loads(answer), messages)


def _work(desk: Desk, caller: Caller, body: ChatCompletionRequest) -> Work:
    completion = body.token_ceiling or desk.forecast.tokens(caller.key_id, body.model)
    return Work(
        endpoint=Endpoint.CHAT_COMPLETIONS,
        kind="generate",
        model=body.model,
        prompt_tokens=estimate.prompt_tokens(body.prompt_characters, len(body.messages)),
        completion_tokens=completion * body.choice_count,
        texts=lambda: body.texts,
    )
