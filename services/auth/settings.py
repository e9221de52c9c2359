"""What the auth service can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from chassis.settings import DatabaseSettings, service_config
from services.auth.peppers import Pepper, parse


class Settings(DatabaseSettings):
    """Read once from `CAPSTAN_AUTH_…`."""

    model_config = service_config("auth")

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

    def peppers(self) -> tuple[Pepper, ...]:
        """Answer the peppers, the current one first. Raises `OSError` and `ValueError`."""
        return parse(self.pepper_file.read_text(encoding="utf-8"))
