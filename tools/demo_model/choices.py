"""Lists that are split into what may be trained on and what is held out for testing."""

from collections.abc import Iterable
from dataclasses import dataclass


def plain(text: str) -> str:
    """Return a text without case and punctuation, to find phrasings that differ in nothing else."""
    return " ".join("".join(c if c.isalnum() or c in "{}+-*/" else " " for c in text.casefold()).split())


@dataclass(frozen=True)
class Choices:
    """Texts to choose from: `seen` is trained on, `held` never is; no text may be in both."""

    seen: tuple[str, ...]
    held: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        both = {plain(text) for text in self.seen} & {plain(text) for text in self.held}
        if both:
            raise ValueError(f"held out and trained on at once: {sorted(both)}")

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Choices":
        """Split texts by the "~" in front of the held out ones."""
        texts = [text.rstrip() for text in texts]
        return cls(
            tuple(text for text in texts if not text.startswith("~")),
            tuple(text[1:] for text in texts if text.startswith("~")),
        )

    def part(self, held: bool) -> tuple[str, ...]:
        """Return the held out texts, or the seen ones; a list that holds nothing out has only seen ones."""
        return self.held if held and self.held else self.seen
