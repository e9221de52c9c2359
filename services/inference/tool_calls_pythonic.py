"""Function calls as a list of Python calls, as Llama 3.2, Llama 4 and ToolACE write them.

::

    [get_weather(city="Paris", days=2), get_time(zone="CET")]

A list that begins a line with a call of a known function is one; all other brackets are text.
"""

from __future__ import annotations

import re

from services.inference.python_arguments import PythonArguments
from services.inference.tool_calls import CallFinder, Opening, opening_tag, starts_line

TAG, END_TAG = "<|python_start|>", "<|python_end|>"

_NAME = r"[a-zA-Z0-9_.-]{1,64}"
_CALL = re.compile(
    rf"\s{{0,16}}({_NAME})\s{{0,4}}\(\s{{0,16}}(?=\)|\*\*\s{{0,4}}\{{|[A-Za-z_]\w{{0,63}}\s{{0,4}}=[^=])"
)
_COULD_BE = re.compile(
    rf"\s{{0,16}}(?:{_NAME}\s{{0,4}}(?:\(\s{{0,16}}(?:\*\*?\s{{0,4}}|[A-Za-z_]\w{{0,63}}\s{{0,4}}=?)?)?)?\Z"
)


class PythonicFinder(CallFinder):
    """See the module's text."""

    def __init__(self, names: frozenset[str], *, limit: int | None = None) -> None:
        super().__init__(names, limit=limit)
        self._arguments = PythonArguments()

    def _opening(self) -> Opening:
        text = self._pending
        tag = opening_tag(text, TAG)
        place = text.find("[", 0, tag.start)
        while place >= 0:
            if starts_line(text, place, begins=self._begins):
                return Opening(place, place + 1)
            place = text.find("[", place + 1, tag.start)
        return tag

    def _in_head(self) -> bool:
        """After a tag comes a bracket, after a bracket or a comma a call."""
        if self._held.endswith(TAG):
            inside = self._pending.lstrip()
            if inside and inside[0] != "[":
                return self._no_call()
            if inside:
                self._held += self._pending[: len(self._pending) - len(inside) + 1]
                self._pending = inside[1:]
            return bool(inside)
        call = _CALL.match(self._pending)
        if call is None:
            return _COULD_BE.match(self._pending) is None and self._no_call()
        if call[1] not in self._names:
            return self._no_call()
        self._begin(call[1])
        self._pending = self._pending[call.end() :]
        self._arguments = PythonArguments()
        self._search = self._in_call
        return True

    def _in_call(self) -> bool:
        taken, arguments = self._arguments.feed(self._pending)
        self._add(arguments)
        self._pending = self._pending[taken:]
        if self._arguments.refused:
            self._pending = self._arguments.held + self._pending
            return self._after_call()
        if self._arguments.ended:
            self._search = self._in_list
        return self._arguments.ended

    def _in_list(self) -> bool:
        """Between calls: a comma, or the end of the list."""
        inside = self._pending.lstrip(" \t\r\n,")
        if not inside:
            return False
        gap = self._pending[: -len(inside)]
        self._pending = inside
        if "," in gap and inside[0] != "]":
            self._held, self._search = gap, self._in_head
        else:
            self._pending, self._search = inside.removeprefix("]"), self._in_tail
        return True

    def _in_tail(self) -> bool:
        """A closing tag, where the model writes one."""
        inside = self._pending.lstrip()
        if inside.startswith(END_TAG):
            self._pending = inside[len(END_TAG) :]
        elif END_TAG.startswith(inside):
            return False
        return self._after_call()

    def _over(self) -> None:
        if self._search == self._in_call:
            self._add(self._arguments.rest())
        super()._over()
