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

    recovery_grace_s: float = Field(default=600.0, ge=1)
    """How long after an engine told of a request its gateway has to tell too, before the engine's count is billed."""

    reconcile_interval_s: float = Field(default=30.0, gt=0)
    """Time between two looks at what engines told."""

    price_book: Path = PACKAGED_PRICE_BOOK
    """File with all versions of the price book, read by `migrate`, which publishes new versions in the database and
    refuses a file that changes a published one."""
