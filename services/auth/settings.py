"""What the auth service can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from chassis.settings import ServiceSettings, service_config
from services.auth.peppers import Pepper, parse


class Settings(ServiceSettings):
    """Read once from `CAPSTAN_AUTH_…`."""

    model_config = service_config("auth")

    dsn_file: Path | None = None
    """File that holds the URL of the PostgreSQL database, `postgresql://user:password@host/name`. Takes precedence over
    `dsn`."""

    dsn: SecretStr = SecretStr("")
    """The same URL itself, where it holds no secret (a unix socket)."""

    pepper_file: Path
    """File with the secret that stored keys are hashed with: 32 or more random characters. Whoever loses it loses every
    key. To change it without that: add the new one as a second line everywhere, then make it the first line everywhere;
    drop the old one when no row of `auth.keys` has its `pepper_id` any more."""

    pool_size: int = Field(default=8, ge=1, le=100)
    """Connections to PostgreSQL at most, beside the one that listens."""

    statement_timeout_s: float = Field(default=1.0, gt=0, le=60)
    """How long PostgreSQL has for one statement."""

    cached_keys: int = Field(default=50_000, ge=1)
    """Keys that are remembered; about 1 KB each. As many unknown ones are remembered for 5 s."""

    bootstrap_organization: str = Field(default="Default organization", min_length=1, max_length=100)
    """Name of the organisation that `bootstrap` makes."""

    bootstrap_tier: Literal["free", "1", "2", "3", "4", "5", "local"] = "local"
    """Tier of the organisation that `bootstrap` makes: `local` is limited by the machine only."""

    def database(self) -> str:
        """Answer the database's URL. Raises `OSError` when its file cannot be read, `ValueError` when there is none."""
        url = self.dsn_file.read_text(encoding="utf-8").strip() if self.dsn_file else self.dsn.get_secret_value()
        if not url:
            raise ValueError("CAPSTAN_AUTH_DSN_FILE or CAPSTAN_AUTH_DSN must name a database")
        return url

    def peppers(self) -> tuple[Pepper, ...]:
        """Answer the peppers, the current one first. Raises `OSError` and `ValueError`."""
        return parse(self.pepper_file.read_text(encoding="utf-8"))
