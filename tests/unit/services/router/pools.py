"""Replicas for tests: described, reporting, and steered by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.router.adapters import Adapter
from services.router.ejection import EjectionRules
from services.router.load import Load
from services.router.models import Catalogue
from services.router.placement import Placements, Request
from services.router.pools import Replicas
from services.router.replicas import Description, Kind, Replica, Rules

RULES = Rules(
    stale_after_s=5.0,
    stalled_after_s=45.0,
    queue_share=1.0,
    ejection=EjectionRules(failures=3, pause_s=1.0, longest_pause_s=8.0, forgiven_after_s=60.0),
)


def load(**changes: Any) -> Load:
    """The load of an idle replica with 8 slots, but for some values."""
    idle: dict[str, Any] = {
        "running_count": 0,
        "waiting_count": 0,
        "kv_usage": 0.0,
        "accepting": True,
        "stalled_s": None,
        "slots": 8,
    }
    return Load(**(idle | changes))


class Pool:
    """A router's inside without its edges: `count` replicas r0, r1, … of the model "chat"; the time stands in `now`."""

    def __init__(
        self,
        count: int = 0,
        *,
        rules: Rules = RULES,
        aliases: dict[str, Any] | None = None,
        adapters: Sequence[Adapter] = (),
        fallbacks: Mapping[str, Sequence[str]] | None = None,
        settled_after_s: float = float("inf"),
    ) -> None:
        self.now = 1000.0
        self.replicas = Replicas(rules)
        self.catalogue = Catalogue(aliases or {}, {}, now=1_700_000_000.0, adapters=adapters, fallbacks=fallbacks)
        self.placements = Placements(self.replicas, self.catalogue, expiry_s=900.0, settled_after_s=settled_after_s)
        for number in range(count):
            self.add(f"r{number}")

    def add(
        self, replica_id: str, model: str = "chat", *kinds: Kind, max_model_tokens: int = 4096, max_adapters: int = 2
    ) -> Replica:
        replica = self.replicas.add(replica_id, f"unix:/{replica_id}")
        description = Description(model, frozenset(kinds or {Kind.GENERATE}), max_model_tokens, "fp_1", max_adapters)
        self.replicas.describe(replica, description)
        self.catalogue.learn(description, 1_700_000_000.0)
        replica.report(load(), self.now)
        return replica

    def replica(self, replica_id: str) -> Replica:
        return self.replicas.add(replica_id, "")

    def report(self, replica_id: str, **changes: Any) -> None:
        self.replica(replica_id).report(load(**changes), self.now)

    def report_all(self, **changes: Any) -> None:
        for replica in self.replicas:
            replica.report(load(**changes), self.now)

    def pass_time(self, seconds: float) -> None:
        """Let time pass while every replica keeps reporting that it is idle."""
        self.now += seconds
        self.report_all()

    def place(self, request_id: str, model: str = "chat", kind: Kind = Kind.GENERATE, **changes: Any) -> str:
        request = Request(request_id, model, kind, changes.pop("tokens", 100), **changes)
        return self.placements.place(request, self.now).id

    def release(self, request_id: str, *, went_well: bool = True) -> None:
        self.placements.release(request_id, went_well=went_well, now=self.now)

    def fail(self, replica_id: str, times: int = 1) -> None:
        """Let requests be placed on just that replica, and fail there."""
        others = frozenset(replica.id for replica in self.replicas) - {replica_id}
        names = [f"doomed-{replica_id}-{number}" for number in range(times)]
        for name in names:
            assert self.place(name, excluded=others) == replica_id
        for name in names:
            self.release(name, went_well=False)
