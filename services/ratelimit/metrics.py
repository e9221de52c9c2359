"""The ratelimit service's own instruments."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.ratelimit.meters import Outcome, Reservation


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
        self.shadowed = Counter(
            "capstan_ratelimit_shadow_refusals",
            "Requests that a limit in shadow mode would have refused, by dimension.",
            ["dimension"],
            registry=registry,
        )
        self.lost = Counter(
            "capstan_ratelimit_lost_reservations",
            "Running requests whose reservation was not found any more: the store was lost.",
            registry=registry,
        )
        self.ended_holds = Counter(
            "capstan_ratelimit_ended_holds",
            "Holds of money that ended without a settlement and were given back by the reaper.",
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

    def observe_shadows(self, reservation: Reservation, outcome: Outcome) -> None:
        """Count what limits in shadow mode would have refused."""
        for charge, state in zip(reservation.charges, outcome.meters, strict=True):
            if charge.shadow and state.exceeded:
                self.shadowed.labels(charge.dimension.name.lower()).inc()
