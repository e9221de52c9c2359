"""Adapters: small changes to a served model that any of its replicas can load, each asked for by a name of its own.

A name is `ft:BASE:…`, because that is how billing knows whose price it has; an alias can give it any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PREFIX = "ft:"


@dataclass(frozen=True, slots=True)
class Adapter:
    """What is applied to a model, and who may ask for it."""

    name: str
    path: str
    """Folder of its files, as the replicas see it."""
    organization_ids: frozenset[str] = field(default_factory=frozenset)
    """Whose it is; empty: everybody's."""

    @property
    def base(self) -> str:
        """The served model that it adapts."""
        return base_of(self.name)

    def serves(self, organization_id: str) -> bool:
        """Say whether an organisation may use it."""
        return not self.organization_ids or organization_id in self.organization_ids


def base_of(name: str) -> str:
    """Answer the base in an adapter's name. Raises `ValueError` when it is none."""
    base, colon, rest = name.removeprefix(PREFIX).partition(":")
    if not name.startswith(PREFIX) or not base or not colon or not rest:
        raise ValueError(f"{name!r} is no adapter's name: it must be ft:BASE:NAME")
    return base
