"""The body of `POST /v1/moderations`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from services.gateway import request_errors
from services.gateway.schema.base import WRONG_SHAPE, RequestModel
from services.gateway.schema.messages import ImagePart

MAX_INPUTS = 2048
MAX_INPUT_BYTES = 128_000
"""Of one input, all its parts together, UTF-8: some 40 pages. The classifier's own bound is a little above."""
MAX_BYTES = 1_000_000
"""Of all inputs."""

DEFAULT_MODEL = "omni-moderation-latest"


class ModeratedText(RequestModel):
    """Text."""

    type: Literal["text"]
    text: str


def _shape(value: Any) -> str | None:
    """An array is what its first element makes it."""
    if isinstance(value, str):
        return "string"
    if not isinstance(value, list):
        return None
    return "parts" if value and isinstance(value[0], dict) else "strings"


Input = Annotated[
    Annotated[str, Tag("string")]
    | Annotated[list[str], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True), Tag("strings")]
    | Annotated[
        list[Annotated[ModeratedText | ImagePart, Field(discriminator="type")]],
        Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True),
        Tag("parts"),
    ],
    Discriminator(
        _shape,
        custom_error_type=WRONG_SHAPE,
        custom_error_message="one of a string, array of strings, or array of objects",
    ),
]


class ModerationRequest(RequestModel):
    """Texts to judge."""

    input: Input
    """One text, several that are judged one by one, or parts that are judged together."""
    model: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """`omni-moderation-…` or `text-moderation-…`: the one classifier that is served answers to all of these names and
    tells its own. Default omni-moderation-latest."""

    @model_validator(mode="after")
    def _bounded(self) -> ModerationRequest:
        sizes = [sum(len(text.encode()) for text in item) for item in self.items]
        for place, size in enumerate(sizes):
            if size > MAX_INPUT_BYTES:
                path = f"input[{place}]" if len(sizes) > 1 else "input"
                raise request_errors.invalid(path, f"it has {size} bytes; the maximum is {MAX_INPUT_BYTES}.")
        if sum(sizes) > MAX_BYTES:
            raise request_errors.invalid("input", f"it has {sum(sizes)} bytes in all; the maximum is {MAX_BYTES}.")
        return self

    @property
    def items(self) -> list[Sequence[str]]:
        """What gets a verdict each: the texts that are judged together."""
        if isinstance(self.input, str):
            return [[self.input]]
        texts = [part for part in self.input if isinstance(part, str)]
        if texts:
            return [[text] for text in texts]
        return [[part.text for part in self.input if isinstance(part, ModeratedText)]]
