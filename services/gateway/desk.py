"""What a handler works with: built once by the composition root, the same for every request."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from chassis.clock import Clock
from chassis.outbox import Outbox
from services.gateway.admission import Admission
from services.gateway.estimate import CompletionForecast
from services.gateway.generation import Generator
from services.gateway.metrics import Metrics
from services.gateway.peers.auth import Authenticator
from services.gateway.peers.inference import Replicas
from services.gateway.peers.jobs import Keeper
from services.gateway.peers.moderation import Classifier
from services.gateway.peers.router import Placer, Release
from services.gateway.reception import Reception
from services.gateway.replays import Replays
from services.gateway.retry_budget import RetryBudget
from services.gateway.settings import Settings


@dataclass(frozen=True)
class Desk:
    """The gateway's parts."""

    settings: Settings
    clock: Clock
    log: logging.Logger
    metrics: Metrics
    authenticator: Authenticator
    reception: Reception
    placer: Placer
    releases: Outbox[Release]
    replicas: Replicas
    classifier: Classifier
    admission: Admission
    generator: Generator
    retries: RetryBudget
    forecast: CompletionForecast
    keeper: Keeper
    replays: Replays | None
    """None: keys are not honoured."""
