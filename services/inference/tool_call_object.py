"""One call that is a JSON object, `{"name": …, "arguments": {…}}`, read while it comes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from services.inference.json_value import JsonValue

_GAP = r"\s{0,16}"
_HEAD = re.compile(
    rf'\{{{_GAP}(?:"type"{_GAP}:{_GAP}"function"{_GAP},{_GAP})?"name"{_GAP}:{_GAP}("(?:[^"\\]|\\.){{0,128}}")'
    rf'{_GAP},{_GAP}"(?:arguments|parameters)"{_GAP}:{_GAP}(?=\{{)'
)
_LONGEST_HEAD = 1024
"""Characters, more than the pattern can match: a longer text has had its chance."""


class CallObject:
    """Begins at the opening brace.

    Arguments that come last are passed on as they come. The other orders and forms are rare, so they are read as a
    whole: another order of keys, no arguments, arguments as JSON in a string.
    """

    def __init__(self, names: frozenset[str], begin: Callable[[str], None], add: Callable[[str], None]) -> None:
        """`begin` is told the name of a known function, `add` the pieces of its arguments."""
        self._names = names
        self._begin = begin
        self._add = add
        self._state = self._undecided
        self._pending = ""
        self._seen = 0
        self._outer = JsonValue()
        self._inner = JsonValue()
        self.ended = False
        self.refused = False
        """Whether this is no call of a known function: then nothing was told."""

    @property
    def undecided(self) -> bool:
        """Whether nothing was told yet."""
        return self._state == self._undecided and not self.ended

    @property
    def pending(self) -> str:
        """What was not told: until the name is known, all of it; after the end, what follows the object."""
        return self._pending

    def feed(self, text: str) -> bool:
        """Read on. Answers whether the object ended or was refused."""
        self._pending += text
        while not self.ended and not self.refused and self._state():
            pass
        return self.ended or self.refused

    def _undecided(self) -> bool:
        if self._seen < _LONGEST_HEAD and (head := _HEAD.match(self._pending)) and self._known(head[1]):
            self._begin(json.loads(head[1]))
            self._pending = self._pending[head.end() :]
            self._outer = JsonValue(depth=1)
            self._state = self._arguments
            return True
        self._seen += self._outer.feed(self._pending[self._seen :])
        if self._outer.ended:
            self._whole()
        return False

    def _arguments(self) -> bool:
        taken = self._inner.feed(self._pending)
        self._add(self._pending[:taken])
        self._pending = self._pending[taken:]
        if self._inner.ended:
            self._state = self._tail
        return self._inner.ended

    def _tail(self) -> bool:
        """After the arguments: what is left of the object says nothing."""
        self._pending = self._pending[self._outer.feed(self._pending) :]
        self.ended = self._outer.ended
        return False

    def _known(self, name_json: str) -> bool:
        try:
            return json.loads(name_json) in self._names
        except ValueError:
            return False

    def _whole(self) -> None:
        try:
            call = json.loads(self._pending[: self._seen])
            name, arguments = call["name"], call.get("arguments", call.get("parameters"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            name = None
        if not isinstance(name, str) or name not in self._names:
            self.refused = True
            return
        if not isinstance(arguments, str):  # some models write the arguments' JSON as a JSON string
            arguments = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
        self._begin(name)
        self._add(arguments)
        self._pending = self._pending[self._seen :]
        self.ended = True
