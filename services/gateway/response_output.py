"""What a response consists of, as its deltas make it: items that open, grow and close, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from chassis.errors import CapstanError, Reason
from services.gateway.chat_answers import logprobs_json
from services.gateway.conversation import item_id
from services.gateway.deltas import Delta, TokenLogprob, ToolCallDelta, finish_word

Json = dict[str, Any]
Kind = Literal["message", "function_call", "reasoning"]
Status = Literal["in_progress", "completed", "incomplete"]


@dataclass(slots=True)
class Item:
    """One item, as far as it has arrived."""

    kind: Kind
    id: str
    index: int
    """Its place in the output."""
    call: int = -1
    """Of a function call: which one of the choice."""
    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    """Text, arguments or thoughts."""
    logprobs: list[Json] = field(default_factory=list)
    status: Status = "in_progress"

    @property
    def text(self) -> str:
        """All pieces."""
        return "".join(self.pieces)

    @property
    def part(self) -> Json:
        """Its only part, as far as it has arrived."""
        if self.kind == "message":
            return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": self.logprobs}
        return {"type": "reasoning_text", "text": self.text}

    def json(self, *, empty: bool = False) -> Json:
        """Write it; `empty`: as it was when it opened."""
        base: Json = {"id": self.id, "type": self.kind, "status": "in_progress" if empty else self.status}
        if self.kind == "function_call":
            return base | {"call_id": self.call_id, "name": self.name, "arguments": "" if empty else self.text}
        content = [] if empty else [self.part]
        if self.kind == "reasoning":
            return base | {"summary": [], "content": content}
        return base | {"role": "assistant", "content": content}


@dataclass(frozen=True, slots=True)
class Change:
    """News of an item. `text` and `logprobs` are what is new, with "grown"."""

    kind: Literal["opened", "grown", "closed"]
    item: Item
    text: str = ""
    logprobs: list[Json] = field(default_factory=list)


class Output:
    """The items of one response. `add` its deltas, then `end` it."""

    def __init__(self, response_id: str, *, logprobs: bool = False) -> None:
        self.items: list[Item] = []
        self.finish_reason = "stop"
        self.response_id = response_id
        self._logprobs = logprobs
        self._open: Item | None = None
        self._calls = -1

    @property
    def incomplete(self) -> bool:
        """Whether it ended before the model did."""
        return self.finish_reason == "length"

    def add(self, delta: Delta) -> Iterator[Change]:
        """Take one delta in and tell what it changes."""
        if delta.reasoning:
            yield from self._grow("reasoning", delta.reasoning)
        if delta.text or (self._logprobs and delta.logprobs):
            yield from self._grow("message", delta.text, _logprobs(delta.logprobs) if self._logprobs else [])
        for part in delta.tool_calls:
            yield from self._grow_call(part)
        if delta.finish_reason:
            self.finish_reason = finish_word(delta.finish_reason)

    def more_text(self, delta: Delta) -> Item | None:
        """Take in a delta that only goes on with the message that is open, which nearly all do, and answer that item.

        None: it is another one, and nothing was taken in.
        """
        item = self._open
        if item is None or item.kind != "message" or self._logprobs:
            return None
        if delta.reasoning or delta.tool_calls or delta.finish_reason or not delta.text:
            return None
        item.pieces.append(delta.text)
        return item

    def end(self) -> Iterator[Change]:
        """Close what is open. An answer without any item is an empty message."""
        if not self.items:
            yield from self._opened("message")
        yield from self._closed("incomplete" if self.incomplete else "completed")

    def take(self, delta: Delta) -> None:
        """Take one delta in, untold."""
        for _ in self.add(delta):
            pass

    def close(self) -> None:
        """Close what is open, untold."""
        for _ in self.end():
            pass

    def json(self) -> list[Json]:
        """Write all items."""
        return [item.json() for item in self.items]

    def _grow(self, kind: Kind, text: str, logprobs: list[Json] | None = None) -> Iterator[Change]:
        if self._open is None or self._open.kind != kind:
            yield from self._opened(kind)
        yield self._grown(text, logprobs or [])

    def _grow_call(self, part: ToolCallDelta) -> Iterator[Change]:
        if self._open is None or self._open.call != part.index:
            if part.index <= self._calls:
                raise CapstanError(Reason.INTERNAL, "a call went on after the next one had begun")
            self._calls = part.index
            yield from self._opened("function_call", part)
        if part.arguments:
            yield self._grown(part.arguments, [])

    def _opened(self, kind: Kind, part: ToolCallDelta | None = None) -> Iterator[Change]:
        yield from self._closed("completed")
        index = len(self.items)
        item = self._open = Item(kind, item_id(kind, self.response_id, index), index)
        if part is not None:
            item.call, item.call_id, item.name = part.index, part.call_id, part.name
        self.items.append(item)
        yield Change("opened", item)

    def _grown(self, text: str, logprobs: list[Json]) -> Change:
        assert self._open is not None
        self._open.pieces.append(text)
        self._open.logprobs += logprobs
        return Change("grown", self._open, text, logprobs)

    def _closed(self, status: Status) -> Iterator[Change]:
        if self._open is not None:
            self._open.status = status
            yield Change("closed", self._open)
            self._open = None


def _logprobs(logprobs: list[TokenLogprob] | Any) -> list[Json]:
    content: list[Json] = logprobs_json(logprobs)["content"]
    return content
