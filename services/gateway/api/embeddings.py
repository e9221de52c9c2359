"""`POST /v1/embeddings`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import struct

import orjson

from chassis.errors import CapstanError
from services.gateway import estimate
from services.gateway.admission import Work
from services.gateway.api.generated import headers
from services.gateway.api.hot import Answer, Exchange, Whole
from services.gateway.attempts import verdict
from services.gateway.caller import Caller
from services.gateway.deltas import Usage
from services.gateway.desk import Desk
from services.gateway.grant import Grant
from services.gateway.peers.billing import serialized
from services.gateway.peers.prompt_hashes import inputs_hash
from services.gateway.peers.router import Errand, Release
from services.gateway.schema.embeddings import EmbeddingRequest
from services.gateway.terms import Terms
from services.gateway.usage_record import Endpoint, Outcome


async def create_embeddings(desk: Desk, caller: Caller, body: EmbeddingRequest, exchange: Exchange) -> Answer:
    """Make one vector for each input."""
    async with desk.admission.admit(caller, _work(body), exchange.request_id) as grant:
        vectors, usage, model = await _embed(desk, grant, body, exchange.terms)
        await grant.finish(Outcome.OK, usage)
        answer = _written(vectors, usage, model, base64_wanted=body.wants_base64)
        return Whole(answer, [(b"openai-model", model.encode()), *headers(grant, exchange)])


async def _embed(desk: Desk, grant: Grant, body: EmbeddingRequest, terms: Terms) -> tuple[list[bytes], Usage, str]:
    """Place the work and do it, a second time elsewhere when the first replica fails."""
    excluded: list[str] = []
    caller = grant.caller
    grant.started = True
    now = asyncio.get_running_loop().time
    desk.retries.note_request(begin := now())
    deadline = begin + min(desk.settings.request_timeout_s, terms.patience_s or desk.settings.request_timeout_s)
    errand = Errand(
        grant.request_id,
        grant.model,
        "embed",
        grant.work.prompt_tokens,
        organization_id=caller.organization_id,
        body_hash=inputs_hash(body.inputs, caller.organization_id),
        service_class=terms.service_class,
        no_fallback=caller.chooses_models or bool(grant.quote.budgets),
    )
    while True:
        wait_s = min(desk.settings.queue_timeout_s, max(0.0, deadline - now()))
        placement = await desk.placer.place(errand, excluded, wait_s)
        grant.runs_on(placement.model)
        grant.usage = Usage(prompt_tokens=grant.work.prompt_tokens)  # of whoever leaves from here on
        try:
            vectors, usage = await desk.replicas.embed(
                placement.address,
                grant.request_id,
                grant.caller.organization_id,
                body.inputs,
                body.dimensions or 0,
                serialized(grant.served),
                max(0.001, min(desk.settings.first_token_timeout_s, deadline - now())),
            )
        except CapstanError as error:
            grant.usage = Usage()
            # Told before the next placement, which would otherwise be taken for the one that failed.
            late = now() >= deadline  # the client's haste says nothing about the replica
            release = Release(grant.request_id, "abandoned" if late else verdict(error), placement.replica_id)
            grant.broken |= release.outcome not in ("ok", "abandoned")
            desk.placer.noticed(release)
            with contextlib.suppress(CapstanError):
                await desk.placer.release([release])
            if late or release.outcome == "ok" or excluded or not desk.retries.take(now()):
                raise
            desk.metrics.second_attempts.labels(grant.model).inc()
            excluded.append(placement.replica_id)
        except asyncio.CancelledError:
            if not desk.replicas.is_connected(placement.address):
                grant.usage = Usage()
            desk.releases.put(Release(grant.request_id, "abandoned"))
            raise
        else:
            grant.usage = usage
            desk.releases.put(Release(grant.request_id, "ok"))
            return vectors, usage, placement.model


def _work(body: EmbeddingRequest) -> Work:
    return Work(
        endpoint=Endpoint.EMBEDDINGS,
        kind="embed",
        model=body.model,
        prompt_tokens=estimate.prompt_tokens(body.prompt_characters) + body.prompt_token_count,
        completion_tokens=0,
        texts=lambda: body.texts,
        prompt_count=len(body.inputs),
    )


def _written(vectors: list[bytes], usage: Usage, model: str, *, base64_wanted: bool) -> bytes:
    """Write the answer, vector by vector: as objects, all their numbers would take three times the room of the text."""
    parts = [b'{"object":"list","data":[']
    for index, vector in enumerate(vectors):
        comma = b"," if index else b""
        encoded = _encoded(vector, base64_wanted=base64_wanted)
        parts.append(b'%b{"object":"embedding","index":%d,"embedding":%b}' % (comma, index, encoded))
    counts = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.total_tokens}
    parts.append(b'],"model":%b,"usage":%b}' % (orjson.dumps(model), orjson.dumps(counts)))
    return b"".join(parts)


def _encoded(vector: bytes, *, base64_wanted: bool) -> bytes:
    """Write little-endian float32s as base64 of themselves, or as numbers."""
    if base64_wanted:
        return b'"%b"' % base64.b64encode(vector)
    return orjson.dumps(struct.unpack(f"<{len(vector) // 4}f", vector))
