"""Where a JSON object ends, told while it is still coming."""

from __future__ import annotations

import re

_PLAIN = re.compile(r'[^"\\{}\[\]<]+')
_IN_STRING = re.compile(r'[^"\\]+')


class JsonValue:
    """Follows one object or array through its pieces. It checks brackets and strings and nothing else."""

    def __init__(self, *, depth: int = 0) -> None:
        """`depth`: brackets that are open already."""
        self._depth = depth
        self._in_string = False
        self._escaped = False
        self.ended = False

    def feed(self, text: str) -> int:
        """How many characters of `text` belong to the value; `ended` says whether the last of them closes it.

        A `<` outside of a string is never JSON: the writer gave up, and the value ends before it.
        """
        place = 0
        while place < len(text) and not self.ended:
            place += self._string(text, place) if self._in_string else self._structure(text, place)
        return place

    def _string(self, text: str, place: int) -> int:
        if self._escaped:
            self._escaped = False
            return 1
        if run := _IN_STRING.match(text, place):
            return run.end() - place
        self._escaped = text[place] == "\\"
        self._in_string = self._escaped
        return 1

    def _structure(self, text: str, place: int) -> int:
        if run := _PLAIN.match(text, place):
            return run.end() - place
        character = text[place]
        if character == "<":
            self.ended = True
            return 0
        if character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.ended = self._depth <= 0
        return 1
