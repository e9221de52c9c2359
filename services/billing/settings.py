"""Settings of billing."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from chassis.settings import ServiceSettings, service_config

PACKAGED_PRICE_BOOK = Path(__file__).with_name("prices.json")


class Settings(ServiceSettings):
    """Where the ledger is and what things cost."""

    model_config = service_config("billing")

    dsn_file: Path | None = None
    """File that holds the URL of the PostgreSQL database, `postgresql://user:password@host/name`. Takes precedence over
    `dsn`."""

    dsn: SecretStr = SecretStr("")
    """The same URL itself, where it holds no secret (a unix socket)."""

    pool_size: int = Field(default=8, ge=1, le=100)
    """Connections to PostgreSQL at most; more deliveries at once wait for one."""

    price_book: Path = PACKAGED_PRICE_BOOK
    """File with all versions of the price book, read by `migrate`, which publishes new versions in the database and
    refuses a file that changes a published one."""

    def database(self) -> str:
        """Answer the database's URL. Raises `OSError` when its file cannot be read, `ValueError` when there is none."""
        url = self.dsn_file.read_text().strip() if self.dsn_file else self.dsn.get_secret_value()
        if not url:
            raise ValueError("CAPSTAN_BILLING_DSN_FILE or CAPSTAN_BILLING_DSN must name a database")
        return url
