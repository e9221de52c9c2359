"""Items of the Responses API as they are kept and told, and the conversation that a model reads of them.

An item has one form from its arrival on: the JSON object that `input_items` answers. What is stored, what a later
response goes on from and what the model is asked are all made of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.gateway.api_error import ApiError
from services.gateway.schema.response_items import (
    AnyItem,
    AssistantMessage,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputContent,
    ItemReference,
    ReasoningItem,
)

Json = dict[str, Any]

RESPONSE_PREFIX = "resp_"
_FIRST_INPUT = 0x8000
"""Inputs are numbered from here, outputs from 0, so that no two items of a response share an id."""
_ITEM_ID = re.compile(r"[a-z]{2,4}_([0-9a-f]{32})[0-9a-f]{4}")
_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def item_id(kind: str, response_id: str, number: int) -> str:
    """Make the id of an item. It holds the response's, so that a reference leads to where the item is kept."""
    return f"{_PREFIXES[kind]}_{response_id.removeprefix(RESPONSE_PREFIX)}{number:04x}"


def response_of(reference: str) -> str | None:
    """Answer the id of the response that an item belongs to; None when no response made such an id."""
    match = _ITEM_ID.fullmatch(reference)
    return RESPONSE_PREFIX + match[1] if match else None


@dataclass(frozen=True, slots=True)
class Call:
    """A function that was called."""

    call_id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Turn:
    """One message of the conversation as a model reads it."""

    role: str
    text: str = ""
    calls: list[Call] = field(default_factory=list)
    answers: str = ""
    """For role "tool": id of the call that it answers."""

    @property
    def characters(self) -> int:
        """How much the model has to read."""
        return len(self.text) + sum(len(call.name) + len(call.arguments) for call in self.calls)


def input_items(given: str | Sequence[AnyItem], response_id: str) -> list[Json]:
    """Write the items of a request as they are kept; a reference stays one until somebody has looked it up."""
    if isinstance(given, str):
        given_items: list[Json] = [{"type": "message", "role": "user", "content": _parts(given, "input_text")}]
    else:
        given_items = [_item(item) for item in given]
    return [_identified(item, response_id, _FIRST_INPUT + number) for number, item in enumerate(given_items)]


def _identified(item: Json, response_id: str, number: int) -> Json:
    if item["type"] == "item_reference":
        return item
    identity = {"id": item.get("id") or item_id(item["type"], response_id, number)}
    return identity | {name: value for name, value in item.items() if name != "id"} | {"status": "completed"}


def _item(item: AnyItem) -> Json:
    match item:
        case FunctionCallItem():
            call = {"type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments}
            return call | {"id": item.id}
        case FunctionCallOutputItem():
            output = item.output if isinstance(item.output, str) else _parts(item.output, "input_text")
            return {"type": "function_call_output", "call_id": item.call_id, "output": output, "id": item.id}
        case ReasoningItem():
            thought: Json = {"type": "reasoning", "id": item.id, "summary": item.summary or []}
            return thought | ({"content": item.content} if item.content else {})
        case ItemReference():
            return {"type": "item_reference", "id": item.id}
        case AssistantMessage():
            parts = (
                _parts(item.content, "output_text")
                if isinstance(item.content, str)
                else [
                    _text("output_text", part.text)
                    if part.type == "output_text"
                    else {"type": "refusal", "refusal": part.refusal}
                    for part in item.content
                ]
            )
            return {"type": "message", "role": "assistant", "content": parts, "id": item.id}
        case _:
            parts = _parts(item.content, "input_text")
            return {"type": "message", "role": item.role, "content": parts, "id": item.id}


def _parts(content: InputContent, kind: str) -> list[Json]:
    if isinstance(content, str):
        return [_text(kind, content)]
    return [_text(kind, part.text) for part in content if part.type == "input_text"]


def _text(kind: str, text: str) -> Json:
    extra: Json = {"annotations": [], "logprobs": []} if kind == "output_text" else {}
    return {"type": kind, "text": text} | extra


def conversation(instructions: str | None, items: Iterable[Json]) -> list[Turn]:
    """Make of items what a model reads. Calls that follow each other, or what was said before them, are one turn.

    Raises `ApiError` when a call and what it returned do not belong together.
    """
    turns = [Turn("system", instructions)] if instructions else []
    waiting: dict[str, None] = {}
    for item in items:
        match item["type"]:
            case "message" if waiting and item["role"] == turns[-1].role == "assistant":
                # The model went on talking after its calls: they are answered after the whole turn.
                turns[-1].text += _said(item["content"])
            case "message":
                _none_waits(waiting)
                turns.append(Turn(item["role"], _said(item["content"])))
            case "function_call":
                if not turns or turns[-1].role != "assistant":
                    _none_waits(waiting)
                    turns.append(Turn("assistant"))
                turns[-1].calls.append(Call(item["call_id"], item["name"], item["arguments"]))
                waiting[item["call_id"]] = None
            case "function_call_output":
                if item["call_id"] not in waiting:
                    raise _unpaired(f"No tool call found for function call output with call_id {item['call_id']}.")
                del waiting[item["call_id"]]
                turns.append(Turn("tool", _said(item["output"]), answers=item["call_id"]))
    _none_waits(waiting)
    return turns


def _said(content: str | list[Json]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or part.get("refusal") or "" for part in content)


def _none_waits(waiting: dict[str, None]) -> None:
    for call_id in waiting:
        raise _unpaired(f"No tool output found for function call {call_id}.")


def _unpaired(message: str) -> ApiError:
    return ApiError(400, message, param="input")


def check_json_is_asked_for(turns: Sequence[Turn]) -> None:
    """Raise `ApiError` unless the word occurs: a model that must write JSON unasked writes blanks without end."""
    if not any("json" in turn.text.lower() for turn in turns):
        raise ApiError(
            400,
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
            "'json_object'.",
            param="input",
        )
