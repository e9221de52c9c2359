"""The gateway's instruments. Labels are bounded: models, endpoints and outcomes, never tenants."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from chassis.metrics import SECONDS_BUCKETS
from services.gateway.deltas import Usage
from services.gateway.journal import Journal
from services.gateway.shipper import Shipper
from services.gateway.usage_record import Endpoint, Outcome


class Metrics:
    """Declared once, by the composition root."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers = Counter(
            "capstan_gateway_http_answers",
            "Answers by path of the route and status; a client that left counts as 499.",
            ["route", "status"],
            registry=registry,
        )
        self.duration = Histogram(
            "capstan_gateway_http_duration_seconds",
            "Time from the request's headers to the last byte of its answer.",
            ["route"],
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        self.first_token = Histogram(
            "capstan_gateway_first_token_seconds",
            "Time from admission to the first token.",
            ["model"],
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        self.finished = Counter(
            "capstan_gateway_requests",
            "Requests that were let in, by how they ended.",
            ["model", "endpoint", "outcome"],
            registry=registry,
        )
        self.tokens = Counter(
            "capstan_gateway_tokens",
            "Tokens served, by type: input, cached_input (part of input), output.",
            ["model", "type"],
            registry=registry,
        )
        self.unmoderated = Counter(
            "capstan_gateway_unmoderated",
            "Requests served without a verdict although the project's advisory policy asks for one.",
            registry=registry,
        )
        self.unkept = Counter(
            "capstan_gateway_unkept",
            "Answers that were to be kept and were served without, by kind: chat_completion, response.",
            ["kind"],
            registry=registry,
        )
        self.second_attempts = Counter(
            "capstan_gateway_second_attempts",
            "Requests placed a second time because their first replica failed before its first token.",
            ["model"],
            registry=registry,
        )
        self.migrations = Counter(
            "capstan_gateway_migrations",
            "Answers that went on elsewhere after their replica was lost in the middle of them.",
            ["model"],
            registry=registry,
        )
        self.open_streams = Gauge("capstan_gateway_open_streams", "Streams that are being written.", registry=registry)

    def watch_journal(self, journal: Journal, shipper: Shipper, registry: CollectorRegistry) -> None:
        """Show how metering is."""
        for name, text, value in (
            ("writable", "1 while the usage journal can be written, else 0.", lambda: float(journal.writable)),
            ("recovered", "Requests that an earlier process left unfinished.", lambda: float(journal.recovered_count)),
            ("commits", "Commits of the usage journal so far.", lambda: float(journal.commit_count)),
            ("shipped", "Records that billing has taken so far.", lambda: float(shipper.shipped_count)),
            ("parked", "Of those, records that billing keeps aside for a person.", lambda: float(shipper.parked_count)),
            (
                "set_aside",
                "Records that wait for the later release that wrote them.",
                lambda: float(journal.set_aside_count),
            ),
            ("dropped", "Free requests that could not be recorded.", lambda: float(journal.dropped_count)),
            ("failures", "Deliveries to billing that failed in a row.", lambda: float(shipper.failures_in_a_row)),
            ("open", "Requests that were begun and neither ended nor taken back.", lambda: float(journal.open_count)),
            ("oldest_open_seconds", "For how long the oldest of them runs; 0: none.", lambda: journal.oldest_open_s),
            (
                "oldest_unshipped_seconds",
                "For how long the oldest ended record has waited for billing; 0: none.",
                lambda: shipper.oldest_unshipped_s,
            ),
        ):
            Gauge(f"capstan_gateway_journal_{name}", text, registry=registry).set_function(value)

    def observe(self, model: str, endpoint: Endpoint, outcome: Outcome, usage: Usage) -> None:
        """Count one request that ended."""
        self.finished.labels(model, endpoint.value, outcome.value).inc()
        if usage.prompt_tokens:
            self.tokens.labels(model, "input").inc(usage.prompt_tokens)
        if usage.cached_prompt_tokens:
            self.tokens.labels(model, "cached_input").inc(usage.cached_prompt_tokens)
        if usage.completion_tokens:
            self.tokens.labels(model, "output").inc(usage.completion_tokens)


class LimitMetrics:
    """How limits are decided where ratelimit is not asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.over_limit_hits = Counter(
            "capstan_gateway_over_limit_hits",
            "Requests refused from memory, because it is certain that ratelimit would refuse them.",
            registry=registry,
        )
        self.alone = Counter(
            "capstan_gateway_limits_alone",
            "Requests judged by the gateway's own meters while ratelimit is away: reserved, refused, or closed (by a "
            "limit that must not go on without it).",
            ["outcome"],
            registry=registry,
        )
        self.degraded = Gauge(
            "capstan_gateway_ratelimit_degraded",
            "1 while the gateway goes by its own meters because ratelimit does not answer.",
            registry=registry,
        )
