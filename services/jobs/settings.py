"""Settings of jobs."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from chassis.settings import ServiceSettings, service_config


class Settings(ServiceSettings):
    """Where the metadata is kept."""

    model_config = service_config("jobs")

    dsn_file: Path | None = None
    """File that holds the URL of the PostgreSQL database, `postgresql://user:password@host/name`. Takes precedence over
    `dsn`."""

    dsn: SecretStr = SecretStr("")
    """The same URL itself, where it holds no secret (a unix socket)."""

    pool_size: int = Field(default=8, ge=1, le=100)
    """Connections to PostgreSQL at most; more calls at once wait for one."""

    stored_days: float = Field(default=30, gt=0)
    """How long stored answers are kept; OpenAI's 30 days by default."""

    purge_interval_s: float = Field(default=60.0, gt=0)
    """Seconds between two removals of the rows of expired files. Expired files are invisible before that."""

    def database(self) -> str:
        """Answer the database's URL. Raises `OSError` when its file cannot be read, `ValueError` when there is none."""
        url = self.dsn_file.read_text().strip() if self.dsn_file else self.dsn.get_secret_value()
        if not url:
            raise ValueError("CAPSTAN_JOBS_DSN_FILE or CAPSTAN_JOBS_DSN must name a database")
        return url
