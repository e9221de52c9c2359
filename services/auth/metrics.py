"""The auth service's own instruments."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Declared once, in `app`."""

    def __init__(
        self, registry: CollectorRegistry, *, is_away: Callable[[], bool], is_following: Callable[[], bool]
    ) -> None:
        self.authenticated = Counter(
            "capstan_auth_authentications",
            "Keys judged, by outcome: accepted, or the reason of the refusal.",
            ["outcome"],
            registry=registry,
        )
        self.batch = Histogram(
            "capstan_auth_batch_items",
            "Keys per Authenticate call.",
            registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000),
        )
        self.queries = Counter(
            "capstan_auth_lookups",
            "Queries for keys that were not in the cache.",
            registry=registry,
        )
        self.watchers = Gauge("capstan_auth_watchers", "Watch streams that are open.", registry=registry)
        away = Gauge(
            "capstan_auth_postgres_away",
            "1 while PostgreSQL is not asked because it does not answer.",
            registry=registry,
        )
        away.set_function(lambda: float(is_away()))
        following = Gauge(
            "capstan_auth_following_changes",
            "1 while changes are heard as they happen; 0: caches rely on their age.",
            registry=registry,
        )
        following.set_function(lambda: float(is_following()))
