"""The answer of `POST /v1/moderations`; each of its three tables has all thirteen categories, by OpenAI's names."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, create_model

from services.gateway.schema.answers import AnswerModel

CATEGORIES: tuple[str, ...] = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def _table(name: str, doc: str, value: object) -> type[AnswerModel]:
    fields = {category.replace("/", "_").replace("-", "_"): category for category in CATEGORIES}
    made: type[AnswerModel] = create_model(
        name,
        __base__=AnswerModel,
        __doc__=doc,
        **{field: (value, Field(alias=category)) for field, category in fields.items()},  # type: ignore[call-overload]  # names are data
    )
    return made


ModerationCategories = _table("ModerationCategories", "What an input was flagged for.", bool)
ModerationScores = _table("ModerationScores", "How sure the classifier is, 0 to 1.", float)
ModerationInputTypes = _table(
    "ModerationInputTypes", "Which kinds of input each category was judged by.", list[Literal["text"]]
)


class ModerationResult(AnswerModel):
    """The verdict about one input."""

    flagged: bool
    """True when a category is flagged."""
    categories: ModerationCategories  # type: ignore[valid-type]  # made above
    category_scores: ModerationScores  # type: ignore[valid-type]
    category_applied_input_types: ModerationInputTypes  # type: ignore[valid-type]


class Moderation(AnswerModel):
    """Verdicts in the order of the inputs."""

    id: str
    """"modr-…"."""
    model: str
    """The classifier that judged, with its version."""
    results: list[ModerationResult]
