"""Where replicas were when the router was last heard: what the gateway goes by while the router is away."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

TRUSTED_S = 30.0
"""How long what was known is gone by."""

SPARED_S = 5.0
"""How long a replica that failed is not asked, while there are others."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a request goes."""

    replica_id: str
    address: str
    model: str
    """Served name, or name of the adapter."""
    max_model_tokens: int
    fingerprint: str
    adapter: str = ""
    """Adapter to apply there; empty: the base model."""
    adapter_path: str = ""
    """Where the replica finds it."""


class Endpoints:
    """The last known replicas of each model, asked in turn."""

    def __init__(self) -> None:
        self._known: dict[str, list[Placement]] = {}
        self._heard_at: dict[str, float] = {}
        """When each model's were told."""
        self._failed_at: dict[str, float] = {}
        self._turn = 0

    def learn(self, replicas: Iterable[Placement], now: float) -> None:
        """Take all that can be placed on now; what was known before of the same models is forgotten.

        Of a model without any, what was known stays until it is too old: a router that has just started knows none yet,
        and may be gone again before it does.
        """
        told: dict[str, dict[str, Placement]] = {}
        for replica in replicas:
            told.setdefault(replica.model, {})[replica.replica_id] = replica
        self._heard_at = {model: at for model, at in self._heard_at.items() if now - at <= TRUSTED_S}
        self._heard_at |= dict.fromkeys(told, now)
        self._known = {model: self._known[model] for model in self._heard_at if model not in told}
        self._known |= {model: list(found.values()) for model, found in told.items()}

    def failed(self, replica_id: str, now: float) -> None:
        """Note that a replica failed a request."""
        self._failed_at = {name: at for name, at in self._failed_at.items() if at + SPARED_S > now}
        self._failed_at[replica_id] = now

    def pick(self, model: str, excluded: Collection[str], now: float) -> Placement | None:
        """Pick the next replica of a served model; None when there is none, or what is known is too old."""
        if now - self._heard_at.get(model, float("-inf")) > TRUSTED_S:
            return None
        able = [each for each in self._known.get(model, ()) if each.replica_id not in excluded]
        sound = [each for each in able if self._failed_at.get(each.replica_id, float("-inf")) + SPARED_S <= now]
        able = sound or able
        self._turn += 1
        return able[self._turn % len(able)] if able else None
