"""An answer that is kept for later, with what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["chat_completion", "response"]
Order = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A chat completion or a response."""

    object_id: str
    model: str
    """Served name."""
    metadata: Mapping[str, str]
    answer: Json
    inputs: Sequence[Json] = ()
    """Messages or items, oldest first; none in a list of answers."""
    previous_id: str = ""
    """What it goes on from; empty: nothing."""

    def json(self) -> Json:
        """Write the answer with the metadata that it has now."""
        return self.answer | {"metadata": dict(self.metadata)}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which answers a list shall hold."""

    model: str = ""
    """Empty: all."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Pairs that an answer's metadata must have."""
    after: str = ""
    """Id of the last one of the page before; empty: from the start."""
    limit: int = 20
    order: Order = "asc"
    """By creation."""
