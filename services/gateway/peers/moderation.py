"""Moderation: is this text allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from capstan.moderation.v1 import moderation_pb2, moderation_pb2_grpc
from services.gateway.peers.calls import call, waited_for

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
UNKNOWN = "other"
"""A category that only a newer classifier knows: what it flags is refused, and no table has a place for it."""
CATEGORIES: dict[int, str] = {moderation_pb2.Category.Value(f"CATEGORY_{name}"): word for name, word in _WORDS.items()}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in one item. Both tables have every category, by its name in OpenAI's API."""

    flagged: bool
    categories: dict[str, bool]
    scores: dict[str, float]
    """0 to 1."""


class Classifier:
    """The gateway's view of moderation."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        self._timeout_s = timeout_s

    async def flagged(self, texts: Sequence[str]) -> list[str]:
        """Answer the categories in which the texts, judged together, are flagged; empty when none.

        Raises `CapstanError` when moderation is away or too busy.
        """
        answer = await self._classify([texts], self._timeout_s)
        return [CATEGORIES.get(score.category, UNKNOWN) for score in answer.verdicts[0].scores if score.flagged]

    async def verdicts(self, items: Sequence[Sequence[str]], timeout_s: float) -> tuple[list[Verdict], str]:
        """Answer a verdict for each item, whose texts are judged together, and the name of what judged.

        Raises `CapstanError`: INVALID_ARGUMENT with the `param` of an item that is too large; as `flagged` otherwise.
        """
        answer = await self._classify(items, timeout_s)
        verdicts = [
            Verdict(
                verdict.flagged,
                {CATEGORIES[score.category]: score.flagged for score in known},
                {CATEGORIES[score.category]: score.score for score in known},
            )
            for verdict in answer.verdicts
            for known in [[score for score in verdict.scores if score.category in CATEGORIES]]
        ]
        return verdicts, answer.classifier

    async def _classify(self, items: Sequence[Sequence[str]], timeout_s: float) -> moderation_pb2.ClassifyResponse:
        request = moderation_pb2.ClassifyRequest(items=[moderation_pb2.ClassifyItem(texts=texts) for texts in items])
        answer: moderation_pb2.ClassifyResponse = await waited_for(
            call(self._stub.Classify, request, timeout_s=timeout_s, peer="moderation")
        )
        return answer
