"""The ratelimit service's own instruments."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Declared once, in `app`."""

    def __init__(self, registry: CollectorRegistry, is_away: Callable[[], bool]) -> None:
        self.reserved = Counter(
            "capstan_ratelimit_reservations",
            "Reservations asked for, by outcome: reserved, or the reason of the refusal.",
            ["outcome"],
            registry=registry,
        )
        self.settled = Counter(
            "capstan_ratelimit_settlements",
            "Settlements asked for, by outcome: settled, unknown (settled before, expired, never made) or invalid.",
            ["outcome"],
            registry=registry,
        )
        self.batch = Histogram(
            "capstan_ratelimit_batch_items",
            "Items per call.",
            ["method"],
            registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000),
        )
        away = Gauge(
            "capstan_ratelimit_valkey_away",
            "1 while Valkey is not asked because it does not answer.",
            registry=registry,
        )
        away.set_function(lambda: float(is_away()))
