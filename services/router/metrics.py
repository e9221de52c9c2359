"""Router's instruments. How replicas stand is read when somebody asks, not kept twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from capstan.router.v1 import router_pb2
from chassis.errors import Reason
from services.router.pools import Replicas
from services.router.waiting_room import WaitingRoom


class Metrics(Collector):
    """Placements by result, releases by outcome, and each replica's standing."""

    def __init__(
        self,
        registry: CollectorRegistry,
        replicas: Replicas,
        room: WaitingRoom,
        demands: Callable[[], Mapping[str, float]],
        monotonic: Callable[[], float],
    ) -> None:
        """`demands`: by served model, in replicas."""
        self._replicas = replicas
        self._demands = demands
        self._room = room
        self._monotonic = monotonic
        placements = Counter(
            "capstan_router_placements",
            "Requests that asked for a place, by result: OK or the reason of the refusal.",
            ["result"],
            registry=registry,
        )
        releases = Counter(
            "capstan_router_releases", "Requests that left, by how it went.", ["outcome"], registry=registry
        )
        self._scalings = Counter(
            "capstan_router_model_scalings",
            "Times a model was to be awake or asleep, by result: done, conflict (another was first), failed.",
            ["model", "state", "result"],
            registry=registry,
        )
        self.expired = Counter(
            "capstan_router_placements_expired",
            "Placements that nobody released in time. Each is a gateway that died or forgot.",
            registry=registry,
        )
        self.placed = placements.labels("OK").inc
        self._refused = placements
        self._released = releases
        registry.register(self)

    def scaled(self, model: str, state: str, result: str) -> None:
        """Note that a model was woken or put to sleep, or should have been."""
        self._scalings.labels(model, state, result).inc()

    def refused(self, reason: Reason) -> None:
        """Note a refusal."""
        self._refused.labels(reason.name).inc()

    def released(self, outcome: int) -> None:
        """Note a release."""
        known = outcome in router_pb2.ReplicaOutcome.values()
        name = router_pb2.ReplicaOutcome.Name(outcome) if known else "UNKNOWN"  # type: ignore[arg-type]  # any int32
        self._released.labels(name.removeprefix("REPLICA_OUTCOME_")).inc()

    def collect(self) -> Iterator[Metric]:
        """Answer how each replica stands now."""
        usable = GaugeMetricFamily(
            "capstan_router_replica_usable", "1 when requests can be placed there.", labels=["replica_id", "model"]
        )
        ejected = GaugeMetricFamily(
            "capstan_router_replica_ejected", "1 while it is shut out for failing.", labels=["replica_id", "model"]
        )
        requests = GaugeMetricFamily(
            "capstan_router_replica_requests", "Requests placed there and not released.", labels=["replica_id", "model"]
        )
        tokens = GaugeMetricFamily(
            "capstan_router_replica_tokens", "Tokens of those requests.", labels=["replica_id", "model"]
        )
        hits = GaugeMetricFamily(
            "capstan_router_replica_prefix_hit_ratio",
            "Share of the prompt tokens since its start that were in its cache.",
            labels=["replica_id", "model"],
        )
        speed = GaugeMetricFamily(
            "capstan_router_replica_tokens_per_second",
            "Tokens it generated a second, between its last two reports.",
            labels=["replica_id", "model"],
        )
        now = self._monotonic()
        for replica in self._replicas:
            labels = [replica.id, replica.description.model if replica.description else ""]
            usable.add_metric(labels, replica.is_usable(now))
            ejected.add_metric(labels, replica.ejection.is_open)
            requests.add_metric(labels, replica.held_count)
            tokens.add_metric(labels, replica.held_tokens)
            if replica.load is not None:
                speed.add_metric(labels, replica.tokens_per_s)
                if replica.load.prefix_query_tokens:
                    hits.add_metric(labels, replica.load.prefix_hit_tokens / replica.load.prefix_query_tokens)
        yield from (usable, ejected, requests, tokens, hits, speed, self._waiting(), self._demand())

    def _demand(self) -> Metric:
        demand = GaugeMetricFamily(
            "capstan_router_model_demand",
            "Replicas that a model could keep busy: queued and running tokens over what one replica bears.",
            labels=["model"],
        )
        for model, value in self._demands().items():
            demand.add_metric([model], value)
        return demand

    def _waiting(self) -> Metric:
        waiting = GaugeMetricFamily(
            "capstan_router_waiting_requests",
            "Requests that wait in the router's queue, by class.",
            labels=["model", "class"],
        )
        for model, counts in self._room.counts().items():
            for service_class, count in counts.items():
                waiting.add_metric([model, service_class.name.lower()], count)
        return waiting
