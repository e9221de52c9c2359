"""What the ratelimit service can be told."""

from __future__ import annotations

from pathlib import Path

from chassis.settings import ServiceSettings, service_config


class Settings(ServiceSettings):
    """Read once from `CAPSTAN_RATELIMIT_…`."""

    model_config = service_config("ratelimit")

    valkey_url: str
    """Where the meters are: `unix:///path`, `valkey://host:port/database` or `valkeys://…` for TLS. A password does not
    belong here but into `valkey_password_file`."""

    valkey_password_file: Path | None = None
    """File with Valkey's password, without a line end or with one. Unset: no password."""

    valkey_timeout_s: float = 0.05
    """How long Valkey has for an answer before the call fails and the gateway uses its own meter. Above a few times the
    round trip; well below the 100 ms that the gateway waits."""

    def password(self) -> str | None:
        """Read Valkey's password, if there is one. Raises `OSError`."""
        if self.valkey_password_file is None:
            return None
        return self.valkey_password_file.read_text(encoding="utf-8").rstrip("\n")
