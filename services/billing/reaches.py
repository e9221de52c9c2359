"""What billing does across organisations, each with a reach of its own: migration 0006 says what it may touch."""

from __future__ import annotations

INGEST = "ingest"
"""Records events of many organisations, with all that follows from them; parks what cannot be, closes what then is."""

PARKED = "parked"
"""Sees and closes dead letters."""

WITNESS = "witness"
"""Keeps what engines counted, and compares it with the events."""

BUDGETS = "budgets"
"""Reads what is spent and what may be."""

ALERTS = "alerts"
"""Holds spending against thresholds, and notes what was told."""

VERIFY = "verify"
"""Reads all the books."""
