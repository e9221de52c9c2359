"""Instruments that every service has, and the buckets that histograms share."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

# Seconds. Wide enough for a cached lookup (100 µs) and a long generation (10 min).
SECONDS_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0,
)  # fmt: skip


def new_registry() -> CollectorRegistry:
    """Make a registry with the process's own memory, CPU, descriptors and garbage collection in it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class RpcServerMetrics:
    """Rate, errors and duration of each RPC served."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.handled = Counter(
            "capstan_rpc_server_handled",
            "RPCs that ended here, by method and reason (OK when none).",
            ["method", "reason"],
            registry=registry,
        )
        self.duration = Histogram(
            "capstan_rpc_server_duration_seconds",
            "Time from an RPC's arrival to its end.",
            ["method"],
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
