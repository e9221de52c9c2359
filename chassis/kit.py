"""What the runner hands to a service's `build`: everything from outside, as arguments."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

import grpc
from prometheus_client import CollectorRegistry

from chassis.clock import Clock
from chassis.ids import Ids
from chassis.ops import Ops
from chassis.readiness import Readiness
from chassis.supervise import Tasks
from chassis.tracing import Tracing


@dataclass(frozen=True)
class Kit:
    """The tools of one running service."""

    name: str
    """Service, e.g. "auth"."""
    instance: str
    """This process among its replicas, e.g. the pod's name or "auth-4711"."""
    version: str
    """Version of the installed distribution."""
    clock: Clock
    """Time."""
    ids: Ids
    """New identifiers."""
    server: grpc.aio.Server
    """Register servicers here; the runner starts and stops it."""
    readiness: Readiness
    """Named conditions of readiness."""
    registry: CollectorRegistry
    """Where instruments are declared."""
    tasks: Tasks
    """Guarded background tasks."""
    ops: Ops
    """The operations port, for a service's own pages beside the three standard ones."""
    tracing: Tracing
    """Spans."""
    log: logging.Logger
    """The service's logger."""
    draining: Draining
    """Tells that the service was asked to stop."""
    connect: Connect
    """Makes gRPC channels to other services, secured as the settings say."""


class Connect(Protocol):
    """As `chassis.transport.Transport.connect`."""

    def __call__(self, address: str, name: str | None = None, *, sticky: bool = False) -> grpc.aio.Channel:
        """Make a channel to `address`, whose peer shows a certificate for `name` (unset: the host in `address`)."""


class Draining:
    """True from the moment the service was asked to stop; long streams may look at it."""

    def __init__(self, hurried: asyncio.Event) -> None:
        self.started = False
        self.grace_s = 0.0
        self.hurried = hurried
        """Set when it was asked twice: there is no grace any more."""
