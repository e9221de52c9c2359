"""`POST /v1/completions`, the legacy endpoint: one or more prompts, each continued `n` times."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.gateway import estimate, text_answers
from services.gateway.admission import Work
from services.gateway.api.generated import finish, head, headers, stream
from services.gateway.api.hot import Answer, Exchange, Whole
from services.gateway.caller import Caller
from services.gateway.collected import Choice, collect
from services.gateway.desk import Desk
from services.gateway.generation import Generation
from services.gateway.peers.inference_start import completion_starts
from services.gateway.schema.completions import CompletionRequest
from services.gateway.usage_record import Endpoint


async def create_completion(desk: Desk, caller: Caller, body: CompletionRequest, exchange: Exchange) -> Answer:
    """Answer one request, whole or streamed. Choices are numbered through: prompt number times n, plus i."""
    async with AsyncExitStack() as stack:
        grant = await stack.enter_async_context(desk.admission.admit(caller, _work(body), exchange.request_id))
        starts = completion_starts(body)
        logprobs = body.logprobs is not None

        def writer_of(generation: Generation) -> text_answers.ChunkWriter:
            answer_head = head(grant, generation, "cmpl-")
            return text_answers.ChunkWriter(
                answer_head, include_usage=body.wants_usage_chunk, logprobs=logprobs, offsets=body.text_offsets
            )

        if body.stream:
            return await stream(desk, grant, starts, body, writer_of, stack.pop_all(), exchange)
        generation = await stack.enter_async_context(desk.generator.start(grant, starts, exchange.terms, whole=True))
        candidates = await collect(generation.batches(), body.candidate_count * len(body.prompts))
        await finish(desk, grant, generation, len(candidates))
        choices = best(candidates, body.candidate_count, body.choice_count)
        answer = text_answers.completion(
            head(grant, generation, "cmpl-"),
            choices,
            generation.usage,
            logprobs=logprobs,
            offsets=body.text_offsets,
        )
        return Whole(answer, headers(grant, exchange))


def best(candidates: Sequence[Choice], candidate_count: int, choice_count: int) -> list[Choice]:
    """Of each prompt's candidates keep those with the highest log probability per token (the rule of `best_of`)."""
    if candidate_count == choice_count:
        return list(candidates)
    kept: list[Choice] = []
    for first in range(0, len(candidates), candidate_count):
        ranked = sorted(candidates[first : first + candidate_count], key=_mean_logprob, reverse=True)
        kept += ranked[:choice_count]
    return kept


def _mean_logprob(choice: Choice) -> float:
    values = [item.chosen.logprob for item in choice.logprobs]
    return sum(values) / len(values) if values else float("-inf")


def _work(body: CompletionRequest) -> Work:
    return Work(
        endpoint=Endpoint.COMPLETIONS,
        kind="generate",
        model=body.model,
        prompt_tokens=estimate.prompt_tokens(body.prompt_characters) + body.prompt_token_count,
        completion_tokens=body.token_ceiling * body.candidate_count * len(body.prompts),
        texts=lambda: body.texts,
        prompt_count=len(body.prompts),
    )
