"""Tells thinking from answering in a stream of text.

Models that think out loud wrap it in tags, most of them as `<think>…</think>`. The tags come in arbitrary pieces, so
text that could be the beginning of one is held back until it is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ReasoningForm:
    """How a model marks its thoughts."""

    begin: str = "<think>"
    end: str = "</think>"
    control_tokens: bool = False
    """Whether the tags are control tokens, which an engine leaves out of the text unless it is told otherwise."""


FORMS: Mapping[str, ReasoningForm | None] = {
    "deepseek_r1": ReasoningForm(),
    "qwen3": ReasoningForm(),
    "mistral": ReasoningForm("[THINK]", "[/THINK]", control_tokens=True),
    "none": None,
}
"""By the names that operators know from vLLM's `--reasoning-parser`. None: the model does not think out loud."""


class Split(NamedTuple):
    """A piece of text, divided."""

    reasoning: str
    text: str


def held_back(text: str, tag: str) -> int:
    """How many characters at the end of `text` could be the beginning of `tag`."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-length:]):
            return length
    return 0


class ReasoningSplitter:
    """One choice's text, divided as it comes. Thinking happens once, at the beginning; later tags are ordinary text."""

    def __init__(self, form: ReasoningForm, *, thinking: bool = False) -> None:
        """`thinking`: the prompt itself ended with the opening tag, so the text begins inside."""
        self._begin, self._end = form.begin, form.end
        self._state = "thinking" if thinking else "before"
        self._pending = ""
        self._trim = thinking

    @property
    def thinking(self) -> bool:
        """Whether what comes next is thought."""
        return self._state == "thinking"

    def feed(self, text: str) -> Split:
        """Divide more text."""
        if self._state == "after" and not self._trim:
            return Split("", text)
        self._pending += text
        reasoning = ""
        if self._state == "before":
            self._look_for_begin()
        if self._state == "thinking":
            reasoning = self._thought()
        return Split(reasoning, self._told() if self._state == "after" else "")

    def rest(self) -> Split:
        """What is still held back when the text is over."""
        pending, self._pending = self._pending, ""
        return Split(pending, "") if self._state == "thinking" else Split("", pending)

    def _look_for_begin(self) -> None:
        ahead = self._pending.lstrip()
        if ahead.startswith(self._begin):
            self._state, self._pending, self._trim = "thinking", ahead[len(self._begin) :], True
        elif not self._begin.startswith(ahead):
            self._state, self._trim = "after", False

    def _thought(self) -> str:
        if self._trim:  # the newline after a tag belongs to the tag
            self._pending = self._pending.lstrip("\n")
            self._trim = not self._pending
        thought, tag, after = self._pending.partition(self._end)
        if tag:
            self._state, self._pending, self._trim = "after", after, True
            return thought.rstrip("\n")
        # Newlines before a closing tag belong to it as well, so they wait with what could be its beginning.
        keep = held_back(thought, self._end)
        told = thought[: len(thought) - keep].rstrip("\n")
        self._pending = thought[len(told) :]
        return told

    def _told(self) -> str:
        if self._trim:
            self._pending = self._pending.lstrip("\n")
            self._trim = not self._pending
        told, self._pending = self._pending, ""
        return told
