"""Which models there are: those that a replica ever told of, those that are expected, and their other names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.router.replicas import Description, Kind, Replicas


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


@dataclass(slots=True)
class _Known:
    kinds: frozenset[Kind]
    create_time: float
    max_model_tokens: int = 0


class Catalogue:
    """The models. What was known once stays known: a model whose replicas are all gone is not a wrong name."""

    def __init__(self, aliases: Mapping[str, str], expected: Mapping[str, Kind], now: float) -> None:
        self._aliases = dict(aliases)
        self._known = {name: _Known(frozenset(), now) for name in aliases.values()}
        self._known |= {name: _Known(frozenset({kind}), now) for name, kind in expected.items()}

    def learn(self, description: Description, now: float) -> None:
        """Take what a replica serves. The newest word on a model counts."""
        known = self._known.setdefault(description.model, _Known(description.kinds, now))
        known.kinds = description.kinds
        known.max_model_tokens = description.max_model_tokens

    def served_name(self, name: str) -> str | None:
        """Resolve a name; None when it was never heard. A served name wins over an alias."""
        return name if name in self._known else self._aliases.get(name)

    def kinds(self, served_name: str) -> frozenset[Kind]:
        """Answer what a model can do; empty when no replica told yet and only an alias says that it exists."""
        return self._known[served_name].kinds

    def listing(self, replicas: Replicas, now: float) -> list[Model]:
        """List every model by name; `now` is monotonic."""
        names = self._aliases | {name: name for name in self._known}
        return [self._model(name, served, replicas, now) for name, served in sorted(names.items())]

    def _model(self, name: str, served_name: str, replicas: Replicas, now: float) -> Model:
        known = self._known[served_name]
        pool = replicas.serving(served_name)
        freshest = max((replica.reported_at for replica in pool), default=float("-inf"))
        return Model(
            name,
            served_name,
            next((kind for kind in Kind if kind in known.kinds), None),
            known.create_time,
            known.max_model_tokens,
            ready_count=sum(replica.is_usable(now) for replica in pool),
            staleness_s=now - freshest if freshest > float("-inf") else None,
        )
