"""gRPC in: typed errors to status, metrics, spans and one log line for each failure, the same for every servicer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind

from chassis.clock import Clock
from chassis.errors import DOMAIN, STATUS, CapstanError, Reason
from chassis.metrics import RpcServerMetrics
from chassis.tracing import Tracing

# A frame of deltas or a batch of 1,000 items fits many times; a hostile peer does not.
MAX_MESSAGE_BYTES = 64 * 2**20

OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Clients ping an idle connection to notice a dead peer; do not punish that as abuse.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
]

if TYPE_CHECKING:
    # Generic in the stubs only.
    Handler = grpc.RpcMethodHandler[Any, Any]


def create(
    metrics: RpcServerMetrics,
    tracing: Tracing,
    clock: Clock,
    log: logging.Logger,
    *,
    callers: Collection[str] = (),
    max_connection_age_s: float | None = None,
) -> grpc.aio.Server:
    """Make a server whose servicers just `raise CapstanError(…)`.

    `callers` are the names in certificates that may call; empty: anybody who gets a connection.
    """
    options = list(OPTIONS)
    if max_connection_age_s is not None:
        # Without a grace of its own: what runs when a connection has reached its age may finish on it.
        options.append(("grpc.max_connection_age_ms", round(max_connection_age_s * 1000)))
    interceptor = _Interceptor(metrics, tracing, clock, log, frozenset(name.encode() for name in callers))
    return grpc.aio.server(interceptors=[interceptor], options=options)


def rich_status(error: CapstanError) -> grpc.Status:
    """Turn an error into a gRPC status with `google.rpc.ErrorInfo` in its details."""
    info = error_details_pb2.ErrorInfo(reason=error.reason.name, domain=DOMAIN, metadata=error.metadata)
    packed = any_pb2.Any()
    packed.Pack(info)
    code: int = STATUS[error.reason].value[0]
    status: grpc.Status = rpc_status.to_status(status_pb2.Status(code=code, message=error.message, details=[packed]))
    return status


class _Interceptor(grpc.aio.ServerInterceptor):
    """Wraps each method once; the wrapped handlers are kept, since gRPC asks again for every call."""

    def __init__(
        self,
        metrics: RpcServerMetrics,
        tracing: Tracing,
        clock: Clock,
        log: logging.Logger,
        callers: frozenset[bytes],
    ) -> None:
        self._callers = callers
        self._metrics = metrics
        self._tracing = tracing
        self._clock = clock
        self._log = log
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method: str = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return handler  # unknown method: gRPC answers UNIMPLEMENTED
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        # Exactly one of the four is set, the one that fits the method's kind.
        inner: Any = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        wrapped = self._streaming(method, inner) if handler.response_streaming else self._unary(method, inner)
        make: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        rebuilt: Handler = make(wrapped, handler.request_deserializer, handler.response_serializer)
        return rebuilt

    def _unary(self, method: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            begin = self._clock.monotonic()
            reason = "OK"
            try:
                if self._callers:
                    self._admit(context)
                if not self._tracing.enabled:
                    return await inner(request, context)
                with self._tracing.span(method, SpanKind.SERVER, context.invocation_metadata()):
                    return await inner(request, context)
            except asyncio.CancelledError:
                reason = "CANCELLED"
                raise
            except Exception as error:
                reason = await self._fail(method, error, context)
            finally:
                self._metrics.handled.labels(method, reason).inc()
                self._metrics.duration.labels(method).observe(self._clock.monotonic() - begin)

        return handle

    def _streaming(self, method: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            reason = "OK"
            try:
                if self._callers:
                    self._admit(context)
                async for message in inner(request, context):
                    yield message
            except (asyncio.CancelledError, GeneratorExit):
                reason = "CANCELLED"
                raise
            except Exception as error:
                reason = await self._fail(method, error, context)
            finally:
                self._metrics.handled.labels(method, reason).inc()

        return handle

    def _admit(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Raise PERMISSION_DENIED unless the caller's certificate has one of the names that may call."""
        names = context.auth_context().get("x509_subject_alternative_name", ())
        if self._callers.isdisjoint(names):
            raise CapstanError(Reason.PERMISSION_DENIED, "this service is not for that caller")

    async def _fail(self, method: str, error: Exception, context: grpc.aio.ServicerContext[Any, Any]) -> str:
        """End the call with the error's status. Only `abort` raises, so this never returns normally but for typing."""
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if not isinstance(error, CapstanError):
            self._log.error("%s failed", method, exc_info=error, extra={"method": method})
            error = CapstanError(Reason.INTERNAL, "internal error")
        elif error.reason is Reason.INTERNAL:
            self._log.error("%s: %s", method, error, exc_info=error, extra={"method": method})
        status = rich_status(error)
        context.set_trailing_metadata(status.trailing_metadata)
        context.set_code(status.code)
        context.set_details(status.details)
        return error.reason.name
