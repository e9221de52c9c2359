"""Which models there are: those that a replica ever told of, those that are expected, and their other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from services.router.adapters import Adapter
from services.router.pools import Replicas
from services.router.replicas import Description, Kind, Replica

Shares = Mapping[str, int]
"""Served models and how much of an alias each gets: its number over the sum."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be asked for, as it stands now."""

    name: str
    served_name: str
    kind: Kind | None
    """Its first ability; None until something told."""
    create_time: float
    """When the router began to know it, unix seconds."""
    max_model_tokens: int
    """0 until a replica told."""
    ready_count: int
    """Replicas that can be placed on now."""
    staleness_s: float | None
    """Age of the freshest report; None when there is none."""
    targets: Shares
    """What it stands for."""
    replicas: tuple[Replica, ...] = field(default=(), compare=False)
    """Those that can be placed on now; of an adapter, those that have it."""
    adapter: Adapter | None = None
    """Set when it is one."""


@dataclass(slots=True)
class _Known:
    kinds: frozenset[Kind]
    create_time: float
    max_model_tokens: int = 0


class Catalogue:
    """The models. What was known once stays known: a model whose replicas are all gone is not a wrong name."""

    def __init__(
        self,
        aliases: Mapping[str, str | Shares],
        expected: Mapping[str, Kind],
        now: float,
        *,
        fallbacks: Mapping[str, Sequence[str]] | None = None,
        adapters: Sequence[Adapter] = (),
    ) -> None:
        """`aliases`: other names, each of a served model or adapter or of several with their shares.

        `fallbacks`: served models that stand in for one that has no capacity, the best first.
        """
        self._aliases: dict[str, Shares] = {
            alias: {target: 1} if isinstance(target, str) else dict(target) for alias, target in aliases.items()
        }
        self._fallbacks = fallbacks or {}
        self._adapters = {adapter.name: adapter for adapter in adapters}
        named = [name for shares in self._aliases.values() for name in shares if name not in self._adapters]
        named += [adapter.base for adapter in adapters]
        self._known = {name: _Known(frozenset(), now) for name in named}
        self._known |= {name: _Known(frozenset({kind}), now) for name, kind in expected.items()}

    def learn(self, description: Description, now: float) -> None:
        """Take what a replica serves. The newest word on a model counts."""
        known = self._known.setdefault(description.model, _Known(description.kinds, now))
        known.kinds = description.kinds
        known.max_model_tokens = description.max_model_tokens

    def served_name(self, name: str, request_id: str = "") -> str | None:
        """Resolve a name; None when it was never heard. A served name wins over an alias.

        Of several models behind an alias the request's id draws one by their shares, the same one each time.
        """
        if name in self._known or name in self._adapters:
            return name
        shares = self._aliases.get(name)
        return None if shares is None else drawn(shares, request_id)

    def adapter(self, name: str) -> Adapter | None:
        """Answer the adapter of that name; None for a served model."""
        return self._adapters.get(name)

    def base(self, name: str) -> str:
        """Answer the served model whose replicas serve a served model or an adapter."""
        adapter = self._adapters.get(name)
        return name if adapter is None else adapter.base

    def served_names(self) -> list[str]:
        """Answer every served model that was ever heard of."""
        return sorted(self._known)

    def fallbacks(self, served_name: str) -> Sequence[str]:
        """Answer the models that stand in for one, the best first."""
        return self._fallbacks.get(served_name, ())

    def kinds(self, served_name: str) -> frozenset[Kind]:
        """Answer what a model can do; empty when no replica told yet and only another name says that it exists."""
        return self._known[self.base(served_name)].kinds

    def listing(self, replicas: Replicas, now: float) -> list[Model]:
        """List every model by name; `now` is monotonic."""
        names = self._aliases | {name: {name: 1} for name in [*self._adapters, *self._known]}
        return [self._model(name, shares, replicas, now) for name, shares in sorted(names.items())]

    def _model(self, name: str, shares: Shares, replicas: Replicas, now: float) -> Model:
        served_name = max(shares, key=lambda each: shares[each])
        known = self._known[self.base(served_name)]
        adapter = self._adapters.get(name)
        pool = [replica for base in dict.fromkeys(map(self.base, shares)) for replica in replicas.serving(base)]
        usable = tuple(replica for replica in pool if replica.is_usable(now))
        freshest = max((replica.reported_at for replica in pool), default=float("-inf"))
        return Model(
            name,
            served_name,
            next((kind for kind in Kind if kind in known.kinds), None),
            known.create_time,
            known.max_model_tokens,
            ready_count=len(usable),
            staleness_s=now - freshest if freshest > float("-inf") else None,
            targets=shares,
            replicas=usable if adapter is None else tuple(each for each in usable if name in each.adapters),
            adapter=adapter,
        )


def drawn(shares: Shares, request_id: str) -> str:
    """Draw one by its share; the same id draws the same."""
    place = crc32(request_id.encode()) * sum(shares.values()) >> 32
    names = iter(shares)
    name = next(names)
    while place >= shares[name]:
        place -= shares[name]
        name = next(names)
    return name
