"""The composition root of moderation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from capstan.moderation.v1 import moderation_pb2_grpc
from chassis.kit import Kit
from services.moderation.batches import Batches
from services.moderation.classifier import Classifier, Window, packaged_model
from services.moderation.head import PACKAGED_HEAD, load, thresholds
from services.moderation.metrics import Metrics
from services.moderation.servicer import ModerationServicer
from services.moderation.settings import Settings
from services.moderation.weights import Array
from services.moderation.windows import Windowing


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Load the model and serve. Two threads work beside the event loop: one cuts texts, one judges them."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "cut") as cutter, ThreadPoolExecutor(1, "judge") as judge:

        def loaded() -> Classifier:
            classifier = Classifier.load(
                settings.model or packaged_model(), load(settings.head or PACKAGED_HEAD), Windowing()
            )
            # The first text would otherwise wait for all weights to be read from the disk.
            classifier.scores(classifier.windows("Hello."))
            return classifier

        classifier = await loop.run_in_executor(judge, loaded)

        async def judged(windows: Sequence[Window]) -> Array:
            begin = kit.clock.monotonic()
            scores = await loop.run_in_executor(judge, classifier.scores, windows)
            metrics.batch_duration.observe(kit.clock.monotonic() - begin)
            metrics.batch_tokens.observe(sum(map(len, windows)))
            return scores

        async def cut(items: Sequence[Sequence[str]]) -> list[list[Window]]:
            return await loop.run_in_executor(cutter, _windows, classifier, items)

        batches = Batches(judged, batch_tokens=settings.batch_tokens, waiting_tokens=settings.waiting_tokens)
        metrics = Metrics(kit.registry, lambda: batches.waiting_tokens)
        servicer = ModerationServicer(
            classifier.head.name,
            cut,
            batches,
            thresholds(settings.thresholds),
            metrics,
            max_item_bytes=settings.max_item_bytes,
            max_call_bytes=settings.max_call_bytes,
        )
        moderation_pb2_grpc.add_ModerationServiceServicer_to_server(servicer, kit.server)
        try:
            yield
        finally:
            await batches.close()


def _windows(classifier: Classifier, items: Sequence[Sequence[str]]) -> list[list[Window]]:
    """Cut each item's texts; windows never reach over from one text to the next."""
    return [[window for text in texts for window in classifier.windows(text)] for texts in items]
