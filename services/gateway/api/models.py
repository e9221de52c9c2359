"""`/v1/models` and `/v1/models/{model}`: what can be asked for."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from chassis.errors import CapstanError, Reason
from services.gateway import request_errors
from services.gateway.api.hot import Answer, Exchange, Whole
from services.gateway.caller import Caller
from services.gateway.desk import Desk
from services.gateway.peers.router import Model, is_for

OWNER = "capstan"
"""Base models belong to whoever runs the platform, and adapters that nobody has for himself."""


async def list_models(desk: Desk, caller: Caller, _name: str, exchange: Exchange) -> Answer:
    """Answer all models that the caller's project may use."""
    known = await desk.placer.models()
    models = [_json(model) for model in known if _visible(caller, model, known)]
    return Whole(orjson.dumps({"object": "list", "data": models}), exchange.tenant_headers)


async def retrieve_model(desk: Desk, caller: Caller, name: str, exchange: Exchange) -> Answer:
    """Answer one model; one that the project may not use does not exist for it."""
    exchange.model = name
    known = await desk.placer.models()
    for model in known:
        if model.name == name and _visible(caller, model, known):
            return Whole(orjson.dumps(_json(model)), exchange.tenant_headers)
    raise CapstanError(Reason.MODEL_NOT_FOUND, "no such model", model=name)


async def delete_model(desk: Desk, caller: Caller, name: str, exchange: Exchange) -> Answer:
    """Refuse: base models are the platform's. Raises `ApiError` 403, or `CapstanError` when there is no such model."""
    await retrieve_model(desk, caller, name, exchange)
    raise request_errors.base_model(name)


def _visible(caller: Caller, model: Model, known: Sequence[Model]) -> bool:
    base = next((each.base for each in known if each.name == model.served_name), "")
    return caller.may_use(model.name, model.served_name, base=base) and is_for(caller.organization_id, model, known)


def _json(model: Model) -> dict[str, str | int]:
    told: dict[str, str | int] = {"id": model.name, "object": "model", "created": model.created, "owned_by": OWNER}
    if model.base:
        told["parent"] = model.base
        if len(model.organization_ids) == 1:
            told["owned_by"] = next(iter(model.organization_ids))
    return told
