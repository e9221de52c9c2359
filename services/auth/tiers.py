"""How much an organisation of each tier may do, for each model on its own.

The tiers are those OpenAI's users know. `local` is for the one organisation of an installation on one machine, where
the machine is the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from services.auth.limits import Numbers


def _tier(rpm: int, tpm: int, rpd: int | None = None, tpd: int | None = None, batch: int | None = None) -> Numbers:
    return Numbers(rpm, tpm, rpd, tpd, batch_day_max_input_tokens=batch)


TIERS: Mapping[str, Numbers] = MappingProxyType(
    {
        "free": _tier(10, 40_000, 200, 400_000, 200_000),
        "1": _tier(500, 200_000, 10_000, None, 2_000_000),
        "2": _tier(5_000, 2_000_000, None, None, 20_000_000),
        "3": _tier(5_000, 4_000_000, None, None, 40_000_000),
        "4": _tier(10_000, 10_000_000, None, None, 1_000_000_000),
        "5": _tier(30_000, 150_000_000, None, None, 15_000_000_000),
        "local": _tier(1_000_000, 1_000_000_000),
    }
)
"""By the name in `organizations.tier`; a constraint there knows the same names."""


def tier(name: str) -> Numbers:
    """Answer what a tier allows; a name that only a newer release knows allows what `free` does."""
    return TIERS.get(name, TIERS["free"])
