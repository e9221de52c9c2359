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
from services.ratelimit.servicer import RatelimitServicer
from services.ratelimit.settings import Settings
from services.ratelimit.store import Store


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Connect to Valkey, which may be away, and register the servicer."""
    password = None
    if settings.valkey_password_file is not None:
        password = settings.valkey_password_file.read_text(encoding="utf-8").rstrip("\n")
    async with valkey.connect(settings.valkey_url, password=password, timeout_s=settings.valkey_timeout_s) as client:
        servicer = RatelimitServicer(Store(client), Metrics(kit.registry, lambda: client.is_away))
        ratelimit_pb2_grpc.add_RatelimitServiceServicer_to_server(servicer, kit.server)
        answers_pb2_grpc.add_AnswerServiceServicer_to_server(AnswerServicer(Answers(client)), kit.server)
        yield
