"""Settings of billing."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from chassis.settings import DatabaseSettings, service_config
from services.billing.webhook import Webhook, secret_of

PACKAGED_PRICE_BOOK = Path(__file__).with_name("prices.json")


class Settings(DatabaseSettings):
    """Where the ledger is, what things cost, and who is told."""

    model_config = service_config("billing")

    pool_size: int = Field(default=8, ge=1, le=100)
    """Connections to PostgreSQL at most; more deliveries at once wait for one."""

    recovery_grace_s: float = Field(default=900.0, ge=1)
    """How long after an engine told of a request its gateway has to tell too, before the engine's count is billed.
    Longer than the gateways' `request_timeout_s`: a request of several prompts, or attempts, is told of in parts."""

    reconcile_interval_s: float = Field(default=30.0, gt=0)
    """Time between two looks at what engines told."""

    alert_url: str = ""
    """Where spend alerts and reached limits are POSTed, after the Standard Webhooks specification, as http or https.
    Empty: they are only logged."""

    alert_secret_file: Path | None = None
    """File with the secret that signs them: `whsec_` and base64 of 24 to 64 bytes. Required with `alert_url`."""

    price_book: Path = PACKAGED_PRICE_BOOK
    """File with all versions of the price book, read by `migrate`, which publishes new versions in the database and
    refuses a file that changes a published one."""

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.alert_url and not self.alert_url.startswith(("https://", "http://")):
            raise ValueError("`alert_url` must begin with https:// or http://")
        if self.alert_url and self.alert_secret_file is None:
            raise ValueError("`alert_url` needs `alert_secret_file`")
        return self

    def webhook(self) -> Webhook | None:
        """Read where alerts go; None: nowhere. Raises `OSError` or `ValueError` when the secret cannot be read."""
        if not self.alert_url or self.alert_secret_file is None:
            return None
        return Webhook(self.alert_url, secret_of(self.alert_secret_file.read_text(encoding="ascii")))
