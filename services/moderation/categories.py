"""What a text can be flagged for: OpenAI's thirteen categories, in the order in which every verdict lists them."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Category(enum.StrEnum):
    """A category; its value is its name in OpenAI's API. With a slash it is a part of the category before the slash."""

    HARASSMENT = "harassment"
    HARASSMENT_THREATENING = "harassment/threatening"
    HATE = "hate"
    HATE_THREATENING = "hate/threatening"
    ILLICIT = "illicit"
    ILLICIT_VIOLENT = "illicit/violent"
    SELF_HARM = "self-harm"
    SELF_HARM_INTENT = "self-harm/intent"
    SELF_HARM_INSTRUCTIONS = "self-harm/instructions"
    SEXUAL = "sexual"
    SEXUAL_MINORS = "sexual/minors"
    VIOLENCE = "violence"
    VIOLENCE_GRAPHIC = "violence/graphic"

    @property
    def parent(self) -> Category | None:
        """The category that this one is a part of."""
        whole, slash, _ = self.value.partition("/")
        return Category(whole) if slash else None


CATEGORIES: tuple[Category, ...] = tuple(Category)


def with_parents(categories: Iterable[Category]) -> frozenset[Category]:
    """Add what the categories are parts of: whatever is hate/threatening is hate."""
    named = frozenset(categories)
    return named | {category.parent for category in named if category.parent is not None}
