"""Finds function calls in a stream of text, whatever form the model writes them in.

A finder searches one choice's text as it comes. Arguments are passed on as they come, once the name is known; what
turns out not to be a call of a known function before its name was told becomes ordinary text, as the model wrote it.
The forms are in modules of their own, and `tool_call_forms` names them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from services.inference.json_value import JsonValue
from services.inference.reasoning import held_back


class CallPart(NamedTuple):
    """News of one call."""

    call: int
    """Which call, from 0."""
    name: str
    """Set in the first part only."""
    arguments: str
    """More of the arguments' JSON text."""


class Found(NamedTuple):
    """What a piece of text held."""

    text: str
    parts: list[CallPart]


class Opening(NamedTuple):
    """Where in the pending text a call seems to begin; where one could, once more is known, if `end` is `start`."""

    start: int
    end: int


class CallFinder(ABC):
    """One choice's text, searched as it comes. White space before a call, and between calls, belongs to the calls."""

    def __init__(self, names: frozenset[str], *, limit: int | None = None) -> None:
        """`names`: functions that can be called. `limit`: calls to tell; what follows them is dropped. None: all."""
        self._names = names
        self._limit = limit
        self._search = self._in_text
        self._pending = ""
        self._held = ""
        """What was taken for the beginning of a call and is not told yet."""
        self._begins = True
        """Whether nothing but white space was told since the text, or the last call, began."""
        self._fresh = False
        """The same, but only after a call."""
        self._value = JsonValue()
        self._calls = 0
        self._text: list[str] = []
        self._parts: list[CallPart] = []

    @property
    def calls(self) -> int:
        """Calls begun so far, told or not."""
        return self._calls

    def feed(self, text: str) -> Found:
        """Search more text."""
        self._pending += text
        while self._search():
            pass
        return self._found()

    def rest(self) -> Found:
        """What was held back and turns out to be ordinary text, now that the text is over."""
        self._over()
        self._held = self._pending = ""
        return self._found()

    @abstractmethod
    def _opening(self) -> Opening:
        """Find the first place in the pending text where a call begins or could begin."""

    @abstractmethod
    def _in_head(self) -> bool:
        """Look at what follows an opening. This and all other states answer whether they got further."""

    def _over(self) -> None:
        """Tell what is held back. States inside of a call hold back its own syntax alone, which says nothing."""
        if self._search == self._in_text:
            self._tell(self._pending.lstrip() if self._fresh else self._pending)
        elif self._search == self._in_head:
            self._tell(self._held + self._pending)

    def _found(self) -> Found:
        found = Found("".join(self._text), self._parts)
        self._text, self._parts = [], []
        return found

    def _tell(self, text: str) -> None:
        if text and (self._limit is None or self._calls < self._limit):
            self._text.append(text)

    def _begin(self, name: str) -> None:
        """Tell that a function is called, unless that is one call too many."""
        self._calls += 1
        self._held = ""
        if self._limit is None or self._calls <= self._limit:
            self._parts.append(CallPart(self._calls - 1, name, ""))

    def _add(self, arguments: str) -> None:
        """Tell more arguments of the call that was begun last."""
        if arguments and (self._limit is None or self._calls <= self._limit):
            self._parts.append(CallPart(self._calls - 1, "", arguments))

    def _in_text(self) -> bool:
        """Ordinary text, up to the next opening."""
        if self._fresh:
            self._pending = self._pending.lstrip()
        start, end = self._opening()
        told = self._pending[:start].rstrip()
        self._tell(told)
        if told:
            self._begins = self._fresh = False
        if end == start:
            self._pending = self._pending[len(told) :]
            return False
        self._held, self._pending = self._pending[len(told) : end], self._pending[end:]
        self._search = self._in_head
        return True

    def _no_call(self) -> bool:
        """What was held is ordinary text, and so is what follows it."""
        self._tell(self._held)
        self._held = ""
        self._begins = self._fresh = False
        self._search = self._in_text
        return True

    def _after_call(self) -> bool:
        """Search on behind a whole call."""
        self._begins = self._fresh = True
        self._search = self._in_text
        return True

    def _in_arguments(self) -> bool:
        """Inside the arguments' JSON object, until its closing brace."""
        taken = self._value.feed(self._pending)
        self._add(self._pending[:taken])
        self._pending = self._pending[taken:]
        return self._value.ended and self._after_call()


def opening_tag(text: str, tag: str) -> Opening:
    """Find `tag`, or the end of `text` that could be its beginning."""
    start = text.find(tag)
    if start >= 0:
        return Opening(start, start + len(tag))
    end = len(text) - held_back(text, tag)
    return Opening(end, end)


def starts_line(text: str, place: int, *, begins: bool) -> bool:
    """Whether only spaces stand before `place` on its line; `begins`: the text's beginning is that of a line."""
    line = text.rfind("\n", 0, place)
    return (line >= 0 or begins) and not text[line + 1 : place].strip(" \t")
