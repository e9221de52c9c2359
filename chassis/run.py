"""The life of a service process, on one page.

    settings -> operations port -> build -> gRPC -> ready when all named conditions hold
    -> SIGTERM -> not ready -> wait drain_delay_s -> refuse new calls, let running ones finish within grace_s
    -> leave build -> flush -> exit 0
    SIGTERM before it was ready -> give the start up -> exit 0

A background task that ends by itself stops the service with exit status 1. A second signal cuts the grace to nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn, TypeVar

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from chassis import logs, metrics, ops, rpc_server
from chassis.clock import Clock
from chassis.ids import Ids, RandomIds
from chassis.kit import Draining, Kit
from chassis.readiness import Readiness
from chassis.settings import ServiceSettings, SettingsError, load
from chassis.sockets import AddressError, bound_address, listen, unix_path
from chassis.supervise import Tasks
from chassis.tracing import Tracing
from chassis.transport import Transport

S = TypeVar("S", bound=ServiceSettings)
Build = Callable[[S, Kit], AbstractAsyncContextManager[None]]
Command = Callable[[S], Coroutine[Any, Any, int]]


class Stop:
    """A request to stop, and how hurried it is."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()

    def ask(self) -> None:
        """Ask once to stop; ask twice to hurry."""
        (self.hurried if self.asked.is_set() else self.asked).set()


class StoppedWhileStartingError(Exception):
    """A stop was asked before the service was ready: there is nothing to drain."""


def installed_version() -> str:
    """Version of the installed distribution, or "unknown" in a bare tree."""
    try:
        return version("capstan")
    except PackageNotFoundError:
        return "unknown"


async def serve(
    name: str,
    settings: S,
    build: Build[S],
    *,
    stop: Stop,
    clock: Clock | None = None,
    ids: Ids | None = None,
    on_ready: Callable[[Kit, str], None] | None = None,
) -> int:
    """Live one service's life; answer its exit status.

    `on_ready` is called once, with the operations port's address, when the service is ready for the first time.
    Raises `StoppedWhileStartingError`.
    """
    log = logging.getLogger(f"capstan.{name}")
    clock = clock or settings.clock()
    instance = os.environ.get("HOSTNAME_OVERRIDE") or f"{name}-{socket.gethostname()}-{os.getpid()}"
    registry, readiness, draining = metrics.new_registry(), Readiness(), Draining(stop.hurried)
    tracing = Tracing(name, instance, settings.otlp_endpoint, settings.trace_sample_ratio)
    started = readiness.condition("started")
    serving = readiness.condition("not draining", ready=True)
    async with AsyncExitStack() as stack:
        stack.callback(tracing.close)
        tasks = Tasks(log)
        stack.push_async_callback(tasks.close)
        about = {"service": name, "instance": instance, "version": installed_version()}
        ops_app = ops.Ops(readiness, registry, about)
        ops_address = await stack.enter_async_context(_ops_port(ops_app, settings.ops_listen, log))
        transport = Transport(settings, clock)
        server = rpc_server.create(
            metrics.RpcServerMetrics(registry),
            tracing,
            clock,
            log,
            callers=settings.callers,
            max_connection_age_s=settings.max_connection_age_s,
        )
        kit = Kit(
            name, instance, about["version"], clock, ids or RandomIds(), server, readiness, registry, tasks, ops_app,
            tracing, log, draining, transport.connect,
        )  # fmt: skip
        health_servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
        readiness.listen(lambda ready: _announce(health_servicer, ready, tasks))
        async with _given_up_when(stop):
            await stack.enter_async_context(build(settings, kit))
        if settings.listen:
            transport.listen(server, settings.listen)
            await server.start()
        if on_ready is not None:
            readiness.listen(lambda ready: on_ready(kit, ops_address) if ready else None)
        started.set(True)
        log.info("started", extra={"path": settings.listen})
        _spare_the_collector()
        failed = await _until_stopped(stop, tasks)
        draining.started, draining.grace_s = True, settings.grace_s
        serving.set(False, "draining")
        log.info("stopping")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.hurried.wait(), settings.drain_delay_s)
        if settings.listen:
            await _drain(server, settings.grace_s, stop)
    if failed:
        log.error("stopped: %s", failed)
    return 1 if failed else 0


@contextlib.asynccontextmanager
async def _given_up_when(stop: Stop) -> AsyncIterator[None]:
    """Cancel the block, which may take minutes to load something, when a stop is asked meanwhile."""
    starting = asyncio.current_task()
    assert starting is not None
    asked = asyncio.create_task(stop.asked.wait())
    asked.add_done_callback(lambda done: None if done.cancelled() else starting.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if not stop.asked.is_set():
            raise
        starting.uncancel()
        raise StoppedWhileStartingError from None
    finally:
        asked.cancel()


def _spare_the_collector() -> None:
    """Leave what start-up made out of garbage collection, and collect rarely: cycles are few here, objects many."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _announce(servicer: health.aio.HealthServicer, ready: bool, tasks: Tasks) -> None:
    state = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
    tasks.once("announce health", servicer.set("", state))


@contextlib.asynccontextmanager
async def _ops_port(app: ops.Ops, address: str, log: logging.Logger) -> AsyncIterator[str]:
    listener = listen(address)
    server = ops.server(app, log)
    task = asyncio.create_task(server.serve([listener]), name="operations port")
    try:
        yield bound_address(listener)
    finally:
        server.should_exit = True
        await task
        if address.startswith("unix:"):
            unix_path(address).unlink(missing_ok=True)


async def _until_stopped(stop: Stop, tasks: Tasks) -> str:
    """Wait for a request to stop or for a failed background task; answer the failure's sentence, or nothing."""
    asked = asyncio.create_task(stop.asked.wait())
    waiting: set[asyncio.Future[Any]] = {asked, tasks.failed}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    return tasks.failed.result() if tasks.failed.done() else ""


async def _drain(server: grpc.aio.Server, grace_s: float, stop: Stop) -> None:
    """Stop taking calls and let running ones finish within `grace_s`, or at once when hurried."""
    stopping = asyncio.create_task(server.stop(grace_s))
    hurried = asyncio.create_task(stop.hurried.wait())
    waiting: set[asyncio.Future[Any]] = {stopping, hurried}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        await server.stop(0)
    hurried.cancel()
    await stopping


def watch_parent(fd: int, stop: Stop) -> None:
    """Stop when the other end of the pipe `fd` closes: whoever started us is gone."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if os.read(fd, 1) == b"":
            loop.remove_reader(fd)
            stop.ask()

    loop.add_reader(fd, readable)


def main(
    name: str, settings_type: type[S], build: Build[S], commands: Mapping[str, Command[S]] | None = None
) -> NoReturn:
    """Run service `name`, or one of its `commands`, from the command line and the environment. Never returns."""
    commands = commands or {}
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{name}",
        description=f"Run the {name} service. Settings are environment variables CAPSTAN_{name.upper()}_….",
    )
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=["serve", "check", *commands],
        help="serve (default); check: read the settings and say whether they are valid; "
        + "".join(f"; {word}: {(function.__doc__ or word).splitlines()[0]}" for word, function in commands.items()),
    )
    args = parser.parse_args()
    try:
        settings = load(settings_type)
    except SettingsError as error:
        print(f"{name}: the settings are not valid:\n{error}", file=sys.stderr)
        raise SystemExit(2) from None
    if args.command == "check":
        print(f"{name}: the settings are valid")
        raise SystemExit(0)
    log = logs.configure(name, settings.log_level, settings.log_format)
    command = commands.get(args.command)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(command(settings) if command else _serve_with_signals(name, settings, build))
    except AddressError as error:
        log.critical("%s", error)
        code = 3
    except Exception:
        log.exception("%s failed", args.command)
        code = 1
    raise SystemExit(code)


async def _serve_with_signals(name: str, settings: S, build: Build[S]) -> int:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.ask)
    if settings.parent_fd is not None:
        watch_parent(settings.parent_fd, stop)
    try:
        return await serve(name, settings, build, stop=stop)
    except StoppedWhileStartingError:
        logging.getLogger(f"capstan.{name}").info("stopped while starting")
        logging.shutdown()
        os._exit(0)  # a thread that loads a model cannot be cancelled, and the interpreter would wait for it
