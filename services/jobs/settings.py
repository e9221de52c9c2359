"""Settings of jobs."""

from __future__ import annotations

from pydantic import Field

from chassis.settings import DatabaseSettings, service_config


class Settings(DatabaseSettings):
    """Where the metadata is kept."""

    model_config = service_config("jobs")

    pool_size: int = Field(default=8, ge=1, le=100)
    """Connections to PostgreSQL at most; more calls at once wait for one."""

    stored_days: float = Field(default=30, gt=0)
    """How long stored answers are kept; OpenAI's 30 days by default."""

    purge_interval_s: float = Field(default=60.0, gt=0)
    """Seconds between two removals of the rows of expired files. Expired files are invisible before that."""
