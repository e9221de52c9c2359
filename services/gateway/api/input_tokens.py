"""`POST /v1/responses/input_tokens`: how long a request's input would be. It counts as a request of no tokens."""

from __future__ import annotations

import asyncio

from chassis.errors import CapstanError
from services.gateway.admission import Work
from services.gateway.api.generated import headers
from services.gateway.api.hot import Answer, Exchange, Whole
from services.gateway.api.responses import read
from services.gateway.attempts import verdict
from services.gateway.caller import Caller
from services.gateway.conversation import Turn
from services.gateway.deltas import Usage
from services.gateway.desk import Desk
from services.gateway.grant import Grant
from services.gateway.peers.response_start import response_start
from services.gateway.peers.router import Errand, Release
from services.gateway.schema.responses import ResponseRequest
from services.gateway.usage_record import Endpoint, Outcome


async def count_input_tokens(desk: Desk, caller: Caller, body: ResponseRequest, exchange: Exchange) -> Answer:
    """Count what a response to this request would read."""
    _, _, turns = await read(desk, caller, body, exchange)
    work = Work(Endpoint.RESPONSES, "generate", body.model, 0, 0, lambda: [turn.text for turn in turns])
    async with desk.admission.admit(caller, work, exchange.request_id) as grant:
        count = await _count(desk, grant, body, turns)
        await grant.finish(Outcome.OK, Usage())
        answer = b'{"object":"response.input_tokens","input_tokens":%d}' % count
        return Whole(answer, headers(grant, exchange))


async def _count(desk: Desk, grant: Grant, body: ResponseRequest, turns: list[Turn]) -> int:
    """Ask one replica; a second attempt is the client's."""
    errand = Errand(grant.request_id, grant.model, "generate", organization_id=grant.caller.organization_id)
    placement = await desk.placer.place(errand)
    try:
        count = await desk.replicas.count_tokens(
            placement.address, response_start(body, turns).chat, desk.settings.first_token_timeout_s
        )
    except CapstanError as error:
        desk.releases.put(Release(grant.request_id, verdict(error)))
        raise
    except asyncio.CancelledError:
        desk.releases.put(Release(grant.request_id, "ok"))
        raise
    desk.releases.put(Release(grant.request_id, "ok"))
    return count
