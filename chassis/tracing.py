"""Spans over OTLP when an endpoint is configured; nothing, at no cost, when not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind

Metadata = Iterable[tuple[str, str | bytes]]


class Tracing:
    """The tracer of one service. `enabled` is false without an endpoint, and then every method is a no-op."""

    def __init__(self, service: str, instance: str, endpoint: str | None, ratio: float) -> None:
        self.enabled = endpoint is not None
        self._tracer: trace.Tracer = trace.NoOpTracer()
        self._shutdown: Callable[[], None] = lambda: None
        if endpoint is None:
            return
        # Imported only where used: they cost every process 15 MB.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource.create(
                {
                    "service.name": f"capstan-{service}",
                    "service.namespace": "capstan",
                    "service.instance.id": instance,
                }
            ),
        )
        provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://")))
        )
        self._tracer = provider.get_tracer("capstan")
        self._shutdown = provider.shutdown

    @contextmanager
    def span(self, name: str, kind: SpanKind = SpanKind.INTERNAL, carrier: Metadata | None = None) -> Iterator[None]:
        """Record a span around the block; `carrier` is incoming metadata that may hold a `traceparent`."""
        if not self.enabled:
            yield
            return
        context = None
        if carrier is not None:
            context = propagate.extract({key: value for key, value in carrier if isinstance(value, str)})
        with self._tracer.start_as_current_span(name, context=context, kind=kind):
            yield

    def outgoing(self) -> list[tuple[str, str]]:
        """Metadata that continues the current span elsewhere (W3C Trace Context)."""
        if not self.enabled:
            return []
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return list(headers.items())

    def close(self) -> None:
        """Send what is left."""
        self._shutdown()
