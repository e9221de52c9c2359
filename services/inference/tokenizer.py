"""What a vocabulary can do, whichever engine it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class NoChatTemplateError(Exception):
    """The model has no chat template: it completes text and knows no turns."""


class TemplateRefusedError(Exception):
    """The model's chat template does not take this conversation; the message is the template author's."""


class Tokenizer(Protocol):
    """Text to token ids and back. Every method may be called from any thread."""

    @property
    def vocabulary_size(self) -> int:
        """Token ids go from 0 to this, exclusive."""

    @property
    def control_texts(self) -> frozenset[str]:
        """How the control tokens (turn marks, end of text, …) are spelled; a user's text must not become one."""

    @property
    def has_chat_template(self) -> bool:
        """Whether `render_chat` works."""

    @property
    def keeps_characters(self) -> bool:
        """Whether every character of a text ends up in a token; False where the text is normalized first."""

    def encode(self, text: str, *, framed: bool) -> list[int]:
        """Token ids of `text`; spelled-out control tokens become control tokens.

        `framed`: with what the model expects around a whole text (a first or last control token).
        """

    def token_bytes(self, token_id: int) -> bytes:
        """What one token adds to the text; a character can be spread over several tokens. b"" for unknown ids."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of these tokens, control tokens spelled out; broken characters become U+FFFD."""

    def render_chat(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], **options: Any
    ) -> str:
        """The conversation as the model was trained to read it, up to where its next answer begins.

        Messages and tools are shaped as in OpenAI's API. Raises NoChatTemplateError, TemplateRefusedError.
        """
