"""What jobs does beside serving: bring the schema up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from chassis import postgres
from services.jobs.settings import Settings

MIGRATIONS = Path(__file__).with_name("migrations")


async def migrate(settings: Settings) -> int:
    """Bring the schema up to date. Idempotent."""
    applied = await postgres.migrate(settings.database(), "jobs", MIGRATIONS)
    sys.stdout.write(f"jobs: applied {', '.join(applied) or 'no migration'}\n")
    return 0
