"""Two documents to what is there and what is missing."""

from __future__ import annotations

from dataclasses import dataclass

from tools.reference.document import EVENTS, JSON, Document


@dataclass(frozen=True)
class Share:
    """What of OpenAI's names one of ours has, and what it has beyond them."""

    official: frozenset[str]
    ours: frozenset[str]

    @property
    def present(self) -> int:
        """How many of OpenAI's are there."""
        return len(self.official & self.ours)

    @property
    def missing(self) -> list[str]:
        """The topmost names that are not there: where an object is missing, what it holds is not told again."""
        absent = self.official - self.ours
        return sorted(name for name in absent if not any(name.startswith(other + ".") for other in absent))

    @property
    def added(self) -> list[str]:
        """Names that only ours has."""
        return sorted(self.ours - self.official)


@dataclass(frozen=True)
class Score:
    """One operation that both documents have."""

    method: str
    path: str
    parameters: Share
    answer: Share
    chunk: Share | None
    """None when OpenAI does not say what the events of a stream hold, or there are none."""


@dataclass(frozen=True)
class Comparison:
    """All of it."""

    version: str
    """Of OpenAI's document."""
    operation_count: int
    """In OpenAI's document."""
    scores: tuple[Score, ...]
    own: tuple[tuple[str, str], ...]
    """Operations that only ours has."""


def compare(official: Document, *ours: Document) -> Comparison:
    """Score every operation of ours that is OpenAI's."""
    theirs = official.operations()
    scores, own = [], []
    for document in ours:
        for (method, path), operation in document.operations().items():
            other = theirs.get((method, path))
            if other is None:
                own.append((method, path))
                continue
            chunk = Share(official.answer(other, EVENTS), document.answer(operation, EVENTS))
            scores.append(
                Score(
                    method,
                    path,
                    Share(official.parameters(other), document.parameters(operation)),
                    Share(official.answer(other, JSON), document.answer(operation, JSON)),
                    chunk if chunk.official else None,
                )
            )
    version = str(official.root["info"]["version"])
    return Comparison(version, len(theirs), tuple(scores), tuple(own))
