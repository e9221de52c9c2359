"""Moderation's instruments."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from chassis.metrics import SECONDS_BUCKETS
from services.moderation.categories import CATEGORIES

_TOKEN_BUCKETS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Metrics:
    """What is asked, what is found, and how busy the processor is with it."""

    def __init__(self, registry: CollectorRegistry, waiting_tokens: Callable[[], int]) -> None:
        self.items = Counter(
            "capstan_moderation_items",
            "Items judged, by verdict: flagged or clean.",
            ["verdict"],
            registry=registry,
        )
        self.flags = Counter(
            "capstan_moderation_flags",
            "Flagged categories; an item may have several.",
            ["category"],
            registry=registry,
        )
        self.batch_tokens = Histogram(
            "capstan_moderation_batch_tokens",
            "Tokens judged at once.",
            registry=registry,
            buckets=_TOKEN_BUCKETS,
        )
        self.batch_duration = Histogram(
            "capstan_moderation_batch_duration_seconds",
            "Time to judge one batch.",
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        waiting = Gauge("capstan_moderation_waiting_tokens", "Tokens that wait to be judged.", registry=registry)
        waiting.set_function(waiting_tokens)
        for verdict in ("flagged", "clean"):
            self.items.labels(verdict)
        for category in CATEGORIES:
            self.flags.labels(category.value)
