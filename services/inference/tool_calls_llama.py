"""Function calls as Llama 3 writes them: JSON at the beginning of a line, with or without a tag, several with `;`.

::

    {"name": "get_weather", "parameters": {"city": "Paris"}}; {"name": "get_time", "parameters": {}}
    <|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}

Without a tag only an object that begins with the name of a known function is a call, so that other JSON flows on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.inference.tool_call_object import CallObject
from services.inference.tool_calls import CallFinder, Opening, opening_tag, starts_line

TAG = "<|python_tag|>"

_STRING_OR_GAP = re.compile(r'"(?:[^"\\]|\\.)*"?|\s+')
_SEPARATOR = re.compile(r"[\s;]*")
_LONGEST_GATE = 512
"""Characters after which it must be clear whether an object is a call."""


class Llama3JsonFinder(CallFinder):
    """See the module's text."""

    def __init__(self, names: frozenset[str], *, limit: int | None = None) -> None:
        super().__init__(names, limit=limit)
        self._gates = frozenset(_gates(names))
        self._object = CallObject(names, self._begin, self._add)

    def _opening(self) -> Opening:
        text = self._pending
        tag = opening_tag(text, TAG)
        for place in _places(text, "{", tag.start):
            separator = self._separator(place)
            if separator < place or starts_line(text, place, begins=self._begins):
                return Opening(separator, place + 1)
        if tag.end > tag.start:
            return Opening(self._separator(tag.start), tag.end)
        end = self._separator(tag.start)
        return Opening(end, end)

    def _separator(self, place: int) -> int:
        """Where the `;` after a call begins that leads up to `place`; `place` without one."""
        leads = self._fresh and _SEPARATOR.fullmatch(self._pending, 0, place) is not None
        return 0 if leads else place

    def _in_head(self) -> bool:
        """After a tag comes an object; without one the object has begun, and must begin as a call."""
        if self._held.endswith("{"):
            return self._in_gate()
        inside = self._pending.lstrip()
        if not inside:
            return False
        if inside[0] != "{":
            return self._no_call()
        self._held += self._pending[: -len(inside)]
        return self._object_begins(inside)

    def _in_gate(self) -> bool:
        known = _compact("{" + self._pending[:_LONGEST_GATE])
        if any(known.startswith(gate) for gate in self._gates):
            self._held = self._held[:-1]
            return self._object_begins("{" + self._pending)
        if len(self._pending) < _LONGEST_GATE and any(gate.startswith(known) for gate in self._gates):
            return False
        return self._no_call()

    def _object_begins(self, text: str) -> bool:
        self._pending = text
        self._object = CallObject(self._names, self._begin, self._add)
        self._search = self._in_object
        return True

    def _in_object(self) -> bool:
        taken, self._pending = self._pending, ""
        if not self._object.feed(taken):
            return False
        self._pending = self._object.pending
        return self._no_call() if self._object.refused else self._after_call()

    def _over(self) -> None:
        if self._search == self._in_object and self._object.undecided:
            self._tell(self._held + self._object.pending)
        super()._over()


def _gates(names: frozenset[str]) -> Iterator[str]:
    """How a call without a tag begins, written without white space."""
    for name in names:
        for kind in ("", '"type":"function",'):
            named = f'{{{kind}"name":"{name}"'
            yield f"{named}}}"
            yield from (f'{named},"{word}":{{' for word in ("parameters", "arguments"))


def _compact(text: str) -> str:
    """`text` without the white space outside of its strings."""
    return _STRING_OR_GAP.sub(lambda match: match[0] if match[0][0] == '"' else "", text)


def _places(text: str, character: str, end: int) -> Iterator[int]:
    place = text.find(character, 0, end)
    while place >= 0:
        yield place
        place = text.find(character, place + 1, end)
