"""All replicas, and for each model and kind of work the pool of those that serve it."""

from __future__ import annotations

from collections.abc import Iterator

from services.router.load import Load
from services.router.policies import Pool
from services.router.replicas import Description, Kind, Replica, Rules

_NOBODY = Pool(())


class Replicas:
    """The replicas, by id."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._replicas: dict[str, Replica] = {}
        self._pools: dict[tuple[str, Kind], Pool] = {}

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._replicas.values())

    def add(self, replica_id: str, address: str) -> Replica:
        """Begin to know a replica, or answer the one of that id."""
        if replica_id not in self._replicas:
            self._replicas[replica_id] = Replica(replica_id, address, self._rules)
        return self._replicas[replica_id]

    def get(self, replica_id: str) -> Replica | None:
        """Answer the replica of that id."""
        return self._replicas.get(replica_id)

    def remove(self, replica_id: str) -> None:
        """Forget a replica. What was placed there is still released as ever."""
        if self._replicas.pop(replica_id, None) is not None:
            self._divide()

    def describe(self, replica: Replica, description: Description) -> None:
        """Take what a replica serves; it may be something else than before."""
        before, replica.description = replica.description, description
        if before is None or (before.model, before.kinds) != (description.model, description.kinds):
            self._divide()

    def report(self, replica: Replica, load: Load, now: float) -> None:
        """Take what a replica says of itself."""
        replica.report(load, now)
        replica.watch_progress(now, may_shut=self.may_eject(replica))

    def pool(self, model: str, kind: Kind) -> Pool:
        """Answer the replicas that serve `model` for `kind`."""
        return self._pools.get((model, kind), _NOBODY)

    def serving(self, model: str) -> list[Replica]:
        """Answer the replicas that serve `model`, usable or not."""
        return [each for each in self._replicas.values() if each.description and each.description.model == model]

    def may_eject(self, replica: Replica) -> bool:
        """Say whether one more of the replica's pool may be shut out: at most half, or a single one.

        When most of a pool fails the cause is not in the replicas, and shutting all out makes it an outage.
        """
        if replica.description is None:
            return True
        pool = self.serving(replica.description.model)
        return len(pool) == 1 or sum(each.ejection.is_open for each in pool) + 1 <= len(pool) // 2

    def _divide(self) -> None:
        members: dict[tuple[str, Kind], list[Replica]] = {}
        for known in sorted(self._replicas.values(), key=lambda each: each.id):
            if known.description is not None:
                for kind in known.description.kinds:
                    members.setdefault((known.description.model, kind), []).append(known)
        self._pools = {key: Pool(pool) for key, pool in members.items()}
