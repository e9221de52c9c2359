"""ModerationService on the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate, pairwise
from typing import Final

from capstan.moderation.v1 import moderation_pb2, moderation_pb2_grpc
from chassis.errors import CapstanError, Reason
from services.moderation.batches import Batches
from services.moderation.categories import CATEGORIES
from services.moderation.classifier import Window, worst
from services.moderation.metrics import Metrics
from services.moderation.weights import Array

MOST_ITEMS: Final = 2048

WIRE: Final = [moderation_pb2.Category.Value(f"CATEGORY_{category.name}") for category in CATEGORIES]
"""The wire's categories, in the order of `CATEGORIES`."""

Cut = Callable[[Sequence[Sequence[str]]], Awaitable[list[list[Window]]]]
"""The texts of each item to the windows of each item."""


class ModerationServicer(moderation_pb2_grpc.ModerationServiceServicer):
    """See moderation.proto."""

    def __init__(
        self,
        name: str,
        cut: Cut,
        batches: Batches,
        thresholds: Array,
        metrics: Metrics,
        *,
        max_item_bytes: int,
        max_call_bytes: int,
    ) -> None:
        self._name = name
        self._cut = cut
        self._batches = batches
        self._thresholds = thresholds
        self._metrics = metrics
        self._max_item_bytes = max_item_bytes
        self._max_call_bytes = max_call_bytes

    async def Classify(
        self, request: moderation_pb2.ClassifyRequest, context: object
    ) -> moderation_pb2.ClassifyResponse:
        """Judge each item."""
        self._check(request)
        items = await self._cut([list(item.texts) for item in request.items])
        scores = await self._batches.scores([window for windows in items for window in windows])
        bounds = pairwise(accumulate(map(len, items), initial=0))
        verdicts = [self._verdict(worst(scores[start:end])) for start, end in bounds]
        return moderation_pb2.ClassifyResponse(verdicts=verdicts, classifier=self._name)

    def _check(self, request: moderation_pb2.ClassifyRequest) -> None:
        if not 1 <= len(request.items) <= MOST_ITEMS:
            raise CapstanError(Reason.INVALID_ARGUMENT, f"there must be 1 to {MOST_ITEMS} items", param="items")
        # The encoded size of an item is that of its texts and a few bytes for each.
        for index, item in enumerate(request.items):
            if item.ByteSize() > self._max_item_bytes:
                message = f"an item may have {self._max_item_bytes} bytes"
                raise CapstanError(Reason.INVALID_ARGUMENT, message, param=f"items[{index}]")
        if request.ByteSize() > self._max_call_bytes:
            message = f"all items together may have {self._max_call_bytes} bytes"
            raise CapstanError(Reason.INVALID_ARGUMENT, message, param="items")

    def _verdict(self, scores: Array) -> moderation_pb2.Verdict:
        flags = (scores >= self._thresholds).tolist()
        self._metrics.items.labels("flagged" if any(flags) else "clean").inc()
        for category, flag in zip(CATEGORIES, flags, strict=True):
            if flag:
                self._metrics.flags.labels(category.value).inc()
        return moderation_pb2.Verdict(
            flagged=any(flags),
            scores=[
                moderation_pb2.CategoryScore(category=category, score=score, flagged=flag)
                for category, score, flag in zip(WIRE, scores.tolist(), flags, strict=True)
            ],
        )
