"""How much an organisation of each tier may do: requests and tokens a minute, for each model on its own.

The tiers are those OpenAI's users know. `local` is for the one organisation of an installation on one machine, where
the machine is the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Allowance:
    """Units a minute."""

    requests_per_minute: int
    tokens_per_minute: int


TIERS: Mapping[str, Allowance] = MappingProxyType(
    {
        "free": Allowance(10, 40_000),
        "1": Allowance(500, 200_000),
        "2": Allowance(5_000, 2_000_000),
        "3": Allowance(5_000, 4_000_000),
        "4": Allowance(10_000, 10_000_000),
        "5": Allowance(30_000, 150_000_000),
        "local": Allowance(1_000_000, 1_000_000_000),
    }
)
"""By the name in `organizations.tier`; a constraint there knows the same names."""
