"""Settings of billing."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from chassis.settings import DatabaseSettings, service_config

PACKAGED_PRICE_BOOK = Path(__file__).with_name("prices.json")


class Settings(DatabaseSettings):
    """Where the ledger is and what things cost."""

    model_config = service_config("billing")

    pool_size: int = Field(default=8, ge=1, le=100)
    """Connections to PostgreSQL at most; more deliveries at once wait for one."""

    price_book: Path = PACKAGED_PRICE_BOOK
    """File with all versions of the price book, read by `migrate`, which publishes new versions in the database and
    refuses a file that changes a published one."""
