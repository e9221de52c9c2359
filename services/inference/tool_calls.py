"""Finds function calls in a stream of text, in the form that Hermes, Qwen and the demonstration model write.

::

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>

Arguments are passed on as they come, once the name is known. What turns out not to be a call of a known function before
its name was told becomes ordinary text, as the model wrote it.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from services.inference.json_value import JsonValue
from services.inference.reasoning import held_back

BEGIN = "<tool_call>"
END = "</tool_call>"

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)')


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


class ToolCallFinder:
    """One choice's text, searched as it comes."""

    def __init__(self, names: frozenset[str], *, limit: int | None = None) -> None:
        """`names`: functions that can be called. `limit`: calls to tell; what follows them is dropped. None: all."""
        self._names = names
        self._limit = limit
        self._search = self._in_text
        self._pending = ""
        self._value = JsonValue()
        self._calls = 0
        self._gap = ""
        self._fresh = False
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
        if self._search == self._in_head:
            self._tell(self._gap + BEGIN + self._pending)
        elif self._search == self._in_text:
            self._tell(self._pending.lstrip() if self._fresh else self._pending)
        self._pending = ""
        return self._found()

    def _found(self) -> Found:
        found = Found("".join(self._text), self._parts)
        self._text, self._parts = [], []
        return found

    def _tell(self, text: str) -> None:
        if text and (self._limit is None or self._calls < self._limit):
            self._text.append(text)

    def _add(self, name: str, arguments: str) -> None:
        """News of the call that was begun last, unless it is one too many."""
        if self._limit is None or self._calls <= self._limit:
            self._parts.append(CallPart(self._calls - 1, name, arguments))

    # Each of these looks at what is pending in one state, and answers whether it got further.

    def _in_text(self) -> bool:
        """Ordinary text: white space before a call, and between calls, belongs to the calls."""
        before, tag, after = self._pending.partition(BEGIN)
        if self._fresh:
            before = before.lstrip()
        told = before[: len(before) - (0 if tag else held_back(before, BEGIN))].rstrip()
        self._tell(told)
        self._fresh = self._fresh and not told
        self._pending = before[len(told) :]
        if tag:
            self._gap, self._pending, self._search = self._pending, after, self._in_head
        return bool(tag)

    def _in_head(self) -> bool:
        """Before the arguments: nothing is told until it is sure that this is a call."""
        if (head := _HEAD.match(self._pending)) and self._callable(head[1]):
            self._calls += 1
            self._add(json.loads(head[1]), "")
            self._pending = self._pending[head.end() :]
            self._value, self._search = JsonValue(), self._in_arguments
            return True
        inside, tag, after = self._pending.partition(END)
        if not tag:
            return False
        # The other orders and forms: rare, so read as a whole.
        self._fresh = self._whole(inside)
        self._pending, self._search = after, self._in_text
        return True

    def _in_arguments(self) -> bool:
        """Inside the arguments' object, until its closing brace."""
        taken = self._value.feed(self._pending)
        if taken:
            self._add("", self._pending[:taken])
        self._pending = self._pending[taken:]
        if not self._value.ended:
            return False
        self._search = self._in_tail
        return True

    def _in_tail(self) -> bool:
        """After the arguments: what is left of the call says nothing."""
        _, tag, after = self._pending.partition(END)
        if tag:
            self._pending, self._search, self._fresh = after, self._in_text, True
            return True
        self._pending = self._pending[-len(END) + 1 :]
        return False

    def _callable(self, name_json: str) -> bool:
        try:
            return json.loads(name_json) in self._names
        except ValueError:
            return False

    def _whole(self, inside: str) -> bool:
        """A call in one piece, if it is one."""
        try:
            call = json.loads(inside)
            name, arguments = call["name"], call.get("arguments", call.get("parameters"))
        except (ValueError, TypeError, KeyError, AttributeError):
            name = None
        if not isinstance(name, str) or name not in self._names:
            self._tell(f"{self._gap}{BEGIN}{inside}{END}")
            return False
        if not isinstance(arguments, str):  # some models write the arguments' JSON as a JSON string
            arguments = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
        self._calls += 1
        self._add(name, arguments)
        return True
