"""The inference service's own instruments: the engine's state, read when it is asked for, and how requests went."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chassis.metrics import SECONDS_BUCKETS
from services.inference.answer import Tally
from services.inference.drift import CounterDrift
from services.inference.engine import EngineLoad

_TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)


class EngineState(Collector):
    """The engine's load as metrics. Names and units follow the model server protocol of the inference gateways."""

    def __init__(self, model: str, load: Callable[[], EngineLoad]) -> None:
        self._model = model
        self._load = load

    def collect(self) -> Iterable[Metric]:
        """Read the engine."""
        load = self._load()
        gauges = {
            "requests_running": ("Sequences in the engine's batch.", load.running),
            "requests_waiting": ("Sequences that wait in the engine.", load.waiting),
            "requests_running_max": ("Sequences the batch can have.", load.max_running),
            "kv_cache_usage_ratio": ("Share of the KV cache in use, 0 to 1.", load.kv_usage),
            "stalled_seconds": ("Time since the last step while there is work.", load.stalled_s or 0.0),
        }
        counters = {
            "prompt_tokens": ("Prompt tokens taken in.", load.prompt_tokens),
            "generated_tokens": ("Tokens generated.", load.generated_tokens),
            "prefix_cache_query_tokens": ("Prompt tokens looked up in the prefix cache.", load.prefix_query_tokens),
            "prefix_cache_hit_tokens": ("Prompt tokens found in the prefix cache.", load.prefix_hit_tokens),
            "preemptions": ("Sequences thrown out of the batch for want of KV cache.", load.preemptions),
        }
        for name, (text, value) in gauges.items():
            gauge = GaugeMetricFamily(f"capstan_engine_{name}", text, labels=["model"])
            gauge.add_metric([self._model], value)
            yield gauge
        for name, (text, value) in counters.items():
            counter = CounterMetricFamily(f"capstan_engine_{name}", text, labels=["model"])
            counter.add_metric([self._model], value)
            yield counter


class Metrics:
    """Declared once, in `app`."""

    def __init__(self, registry: CollectorRegistry, sessions: Callable[[], int], drift: CounterDrift) -> None:
        self._drift = drift
        self._ended = Counter(
            "capstan_inference_requests",
            "Requests that ended, by finish: stop, length, tool_calls, abort, or the reason of the failure.",
            ["finish"],
            registry=registry,
        )
        self._first_token = Histogram(
            "capstan_inference_time_to_first_token_seconds",
            "Time from a request's arrival here to its first token.",
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        self._per_token = Histogram(
            "capstan_inference_time_per_output_token_seconds",
            "Mean time between a request's tokens after the first.",
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        self._duration = Histogram(
            "capstan_inference_request_duration_seconds",
            "Time from a request's arrival here to its end.",
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        self._tokens = Histogram(
            "capstan_inference_request_tokens",
            "Tokens of a request, by type: input or output.",
            ["type"],
            registry=registry,
            buckets=_TOKEN_BUCKETS,
        )
        self._frame = Histogram(
            "capstan_inference_frame_deltas",
            "Deltas in a frame.",
            registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096),
        )
        gauge = Gauge("capstan_inference_sessions", "Gateways that have a session here.", registry=registry)
        gauge.set_function(lambda: float(sessions()))
        gauge = Gauge(
            "capstan_inference_drift_ratio",
            "Share of the tokens that the engine generated since its start and no answer counted, -1 to 1.",
            registry=registry,
        )
        gauge.set_function(drift.ratio)

    def request_ended(self, tally: Tally, began: float, now: float) -> None:
        """See `session.Observer`."""
        self._drift.ended(tally)
        self._ended.labels(tally.finish).inc()
        self._duration.observe(now - began)
        if tally.first_token_at is not None:
            self._first_token.observe(tally.first_token_at - began)
            if tally.completion_tokens > 1:
                self._per_token.observe((now - tally.first_token_at) / (tally.completion_tokens - 1))
            self._tokens.labels("input").observe(tally.prompt_tokens)
            self._tokens.labels("output").observe(tally.completion_tokens)

    def frame_sent(self, deltas: int) -> None:
        """See `session.Observer`."""
        self._frame.observe(deltas)
