"""Function calls as Mistral's models write them: the older ones in a list, the newer ones by name.

::

    [TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    [TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}
    [TOOL_CALLS]get_weather{"city": "Paris"}
"""

from __future__ import annotations

import re

from services.inference.json_value import JsonValue
from services.inference.tool_call_object import CallObject
from services.inference.tool_calls import CallFinder, Opening, opening_tag

BEGIN = "[TOOL_CALLS]"

_NAMED = re.compile(r"([a-zA-Z0-9_-]{1,64})\s*(?:\[CALL_ID\][^\[\]{}]{0,64})?(?:\[ARGS\])?\s*")
_LONGEST_NAME = 256
"""Characters between the tag and the arguments, all in all."""


class MistralFinder(CallFinder):
    """See the module's text."""

    def __init__(self, names: frozenset[str], *, limit: int | None = None) -> None:
        super().__init__(names, limit=limit)
        self._object = CallObject(names, self._begin, self._add)

    def _opening(self) -> Opening:
        return opening_tag(self._pending, BEGIN)

    def _in_head(self) -> bool:
        inside = self._pending.lstrip()
        if not inside:
            return False
        if inside[0] == "[":
            self._held += self._pending[: 1 - len(inside)] if len(inside) > 1 else self._pending
            self._pending = inside[1:]
            self._search = self._in_list
            return True
        brace = inside.find("{", 0, _LONGEST_NAME)
        if brace < 0:
            return len(inside) >= _LONGEST_NAME and self._no_call()
        named = _NAMED.fullmatch(inside, 0, brace)
        if named is None or named[1] not in self._names:
            return self._no_call()
        self._begin(named[1])
        self._pending = inside[brace:]
        self._value = JsonValue()
        self._search = self._in_arguments
        return True

    def _in_list(self) -> bool:
        """Between the objects of a list: commas and white space, and its end."""
        inside = self._pending.lstrip(" \t\r\n,")
        if not inside:
            return False
        if inside[0] == "]" and not self._held:
            self._pending = inside[1:]
            return self._after_call()
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
        self._search = self._in_list
        return True

    def _over(self) -> None:
        if self._search == self._in_object and self._object.undecided:
            self._tell(self._held + self._object.pending)
        elif self._search == self._in_list and self._held:
            self._tell(self._held + self._pending)
        super()._over()
