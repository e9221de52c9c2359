"""`POST /v1/moderations`: what the classifier thinks of texts.

Free of charge: a request counts against the limits of requests and reserves no tokens, and its usage event, which
reports count, has a price of zero. As nothing can be lost but a number in a report, it is journalled only when it has
ended, and served also where the journal cannot be written. The project's own moderation policy and its list of allowed
models do not apply: whoever asks whether a text is harmful should be told.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from chassis.errors import CapstanError, Reason
from services.gateway import estimate
from services.gateway.api.hot import Answer, Exchange, Whole
from services.gateway.caller import Caller
from services.gateway.desk import Desk
from services.gateway.limits_headers import headers as limit_headers
from services.gateway.peers.moderation import Verdict
from services.gateway.schema.moderations import DEFAULT_MODEL, ModerationRequest
from services.gateway.usage_record import Endpoint

FAMILIES = ("omni-moderation-", "text-moderation-", "capstan-moderation-")
"""Beginnings of the names that the one classifier answers to: OpenAI's, and its own."""


async def create_moderation(desk: Desk, caller: Caller, body: ModerationRequest, exchange: Exchange) -> Answer:
    """Judge each input."""
    exchange.model = body.model or DEFAULT_MODEL
    if not exchange.model.startswith(FAMILIES):
        raise CapstanError(Reason.MODEL_NOT_FOUND, "no such classifier", model=exchange.model)
    meters = await desk.admission.count(caller, DEFAULT_MODEL, exchange.request_id)
    try:
        verdicts, classifier = await desk.classifier.verdicts(body.items, desk.settings.moderation_request_timeout_s)
    except CapstanError as error:
        raise _in_clients_terms(error, len(body.items)) from None
    await desk.admission.served_free(
        exchange.request_id, caller, Endpoint.MODERATIONS, classifier, sum(map(_tokens, body.items))
    )
    answer = {
        "id": "modr-" + exchange.request_id.removeprefix("req_"),
        "model": classifier,
        "results": [_result(verdict) for verdict in verdicts],
    }
    return Whole(orjson.dumps(answer), [*exchange.tenant_headers, *limit_headers(meters)])


def _tokens(texts: Sequence[str]) -> int:
    return estimate.prompt_tokens(sum(map(len, texts)))


def _result(verdict: Verdict) -> dict[str, object]:
    return {
        "flagged": verdict.flagged,
        "categories": verdict.categories,
        "category_scores": verdict.scores,
        "category_applied_input_types": dict.fromkeys(verdict.categories, ("text",)),
    }


def _in_clients_terms(error: CapstanError, item_count: int) -> CapstanError:
    """The classifier's own bounds may be set tighter than ours; it names its `items`, which the client calls input."""
    if error.reason is not Reason.INVALID_ARGUMENT:
        return error
    param = "input" + error.metadata.get("param", "").removeprefix("items") if item_count > 1 else "input"
    return CapstanError(Reason.PARAMETER_REFUSED, error.message, param=param, message=f"'{param}' is too large.")
