"""What the ratelimit service is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from capstan.ratelimit.v1 import answers_pb2_grpc, ratelimit_pb2_grpc
from chassis import valkey
from chassis.kit import Kit
from services.ratelimit.answer_servicer import AnswerServicer
from services.ratelimit.answers import Answers
from services.ratelimit.metrics import Metrics
from services.ratelimit.reaper import Reaper
from services.ratelimit.servicer import RatelimitServicer
from services.ratelimit.settings import Settings
from services.ratelimit.store import Store


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Connect to Valkey, which may be away, and register the servicer."""
    async with valkey.connect(
        settings.valkey_url, password=settings.password(), timeout_s=settings.valkey_timeout_s
    ) as client:
        metrics = Metrics(kit.registry, lambda: client.is_away)
        kit.tasks.spawn("reaper", Reaper(client, metrics, kit.log).run(kit.clock))
        servicer = RatelimitServicer(Store(client), metrics)
        ratelimit_pb2_grpc.add_RatelimitServiceServicer_to_server(servicer, kit.server)
        answers_pb2_grpc.add_AnswerServiceServicer_to_server(AnswerServicer(Answers(client)), kit.server)
        yield
