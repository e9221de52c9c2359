"""Instruments of jobs."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from services.jobs.files import Purpose
from services.jobs.stored import Kind


class Metrics:
    """What comes and what goes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registered = Counter(
            "capstan_jobs_files_registered",
            "Registrations of files that were answered with a file, by purpose; one that came again counts again.",
            ["purpose"],
            registry=registry,
        )
        self.removed = Counter(
            "capstan_jobs_files_removed",
            "Files whose metadata was removed, by why: deleted, expired.",
            ["why"],
            registry=registry,
        )
        self.stored = Counter(
            "capstan_jobs_stored",
            "Answers that were kept, by kind; one that came again counts again.",
            ["kind"],
            registry=registry,
        )
        self.stored_removed = Counter(
            "capstan_jobs_stored_removed",
            "Kept answers that were removed, by why: deleted, expired.",
            ["why"],
            registry=registry,
        )
        for kind in Kind:
            self.stored.labels(kind.value)
        for purpose in Purpose:
            self.registered.labels(purpose.value)
        for why in ("deleted", "expired"):
            self.removed.labels(why)
            self.stored_removed.labels(why)
