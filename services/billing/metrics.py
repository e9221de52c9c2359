"""Billing's instruments."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from chassis.metrics import SECONDS_BUCKETS
from services.billing.store import Receipt, Status

_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """What happens to events, and what waits for a person."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "capstan_billing_events",
            "Events delivered, by what became of them: recorded, duplicate, parked.",
            ["status"],
            registry=registry,
        )
        self._amount = Counter(
            "capstan_billing_amount_nanousd",
            "Sum of the amounts of recorded events, nano-dollars.",
            registry=registry,
        )
        self._batch = Histogram(
            "capstan_billing_batch_events",
            "Events per delivery.",
            registry=registry,
            buckets=_BATCH_BUCKETS,
        )
        self._duration = Histogram(
            "capstan_billing_ingest_duration_seconds",
            "Time to record one delivery.",
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        self.dead_letters = Gauge(
            "capstan_billing_dead_letters",
            "Events that are parked and not resolved. Alert on anything above 0.",
            registry=registry,
        )
        self.recovered = Counter(
            "capstan_billing_recovered",
            "Requests that were settled by what their engine counted, because their gateway never told.",
            registry=registry,
        )
        self.drift = Gauge(
            "capstan_billing_drift_ratio",
            "Tokens of the last hour in events against what engines counted, as a share. Alert above 0.001.",
            registry=registry,
        )
        for status in Status:
            self._events.labels(status.name.lower())

    def ingested(self, receipts: Sequence[Receipt], duration_s: float) -> None:
        """Note one delivery."""
        self._batch.observe(len(receipts))
        self._duration.observe(duration_s)
        for receipt in receipts:
            self._events.labels(receipt.status.name.lower()).inc()
            if receipt.status is Status.RECORDED:
                self._amount.inc(receipt.amount_nanousd)
