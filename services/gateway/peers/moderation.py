"""Moderation: is this text allowed."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from capstan.moderation.v1 import moderation_pb2, moderation_pb2_grpc
from services.gateway.peers.calls import call

_WORDS = {
    "HARASSMENT": "harassment",
    "HARASSMENT_THREATENING": "harassment/threatening",
    "HATE": "hate",
    "HATE_THREATENING": "hate/threatening",
    "ILLICIT": "illicit",
    "ILLICIT_VIOLENT": "illicit/violent",
    "SELF_HARM": "self-harm",
    "SELF_HARM_INTENT": "self-harm/intent",
    "SELF_HARM_INSTRUCTIONS": "self-harm/instructions",
    "SEXUAL": "sexual",
    "SEXUAL_MINORS": "sexual/minors",
    "VIOLENCE": "violence",
    "VIOLENCE_GRAPHIC": "violence/graphic",
}
CATEGORIES: dict[int, str] = {moderation_pb2.Category.Value(f"CATEGORY_{name}"): word for name, word in _WORDS.items()}


class Classifier:
    """The gateway's view of moderation."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        self._timeout_s = timeout_s

    async def flagged(self, texts: Sequence[str]) -> list[str]:
        """Answer the categories in which the texts, judged together, are flagged; empty when none.

        Raises `CapstanError` when moderation is away or too busy.
        """
        answer: moderation_pb2.ClassifyResponse = await call(
            self._stub.Classify,
            moderation_pb2.ClassifyRequest(items=[moderation_pb2.ClassifyItem(texts=texts)]),
            timeout_s=self._timeout_s,
            peer="moderation",
        )
        return [CATEGORIES[score.category] for score in answer.verdicts[0].scores if score.flagged]
