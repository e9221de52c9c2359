"""Function calls as Hermes, Qwen and the demonstration model write them.

::

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>
"""

from __future__ import annotations

from services.inference.tool_call_object import CallObject
from services.inference.tool_calls import CallFinder, Opening, opening_tag

BEGIN = "<tool_call>"
END = "</tool_call>"


class HermesFinder(CallFinder):
    """See the module's text."""

    def __init__(self, names: frozenset[str], *, limit: int | None = None) -> None:
        super().__init__(names, limit=limit)
        self._object = CallObject(names, self._begin, self._add)

    def _opening(self) -> Opening:
        return opening_tag(self._pending, BEGIN)

    def _in_head(self) -> bool:
        """Between the tag and the object is white space."""
        inside = self._pending.lstrip()
        if not inside:
            return False
        if inside[0] != "{":
            return self._no_call()
        self._held += self._pending[: -len(inside)]
        self._pending = inside
        self._object = CallObject(self._names, self._begin, self._add)
        self._search = self._in_object
        return True

    def _in_object(self) -> bool:
        taken, self._pending = self._pending, ""
        if not self._object.feed(taken):
            return False
        self._pending = self._object.pending
        if self._object.refused:
            return self._no_call()
        self._search = self._in_tail
        return True

    def _in_tail(self) -> bool:
        """After the object comes the closing tag; without one, ordinary text."""
        after = self._pending.lstrip()
        if after.startswith(END):
            self._pending = after[len(END) :]
        elif END.startswith(after):
            return False
        return self._after_call()

    def _over(self) -> None:
        if self._search == self._in_object and self._object.undecided:
            self._tell(self._held + self._object.pending)
        super()._over()
