"""Responses as OpenAI writes them: the `response` object, and the events that tell how it comes to be.

An event is named twice, in its `event:` line and in its `type`; events are numbered from 0 without gaps, and the last
one is the response itself, so there is no `[DONE]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from services.gateway.api_error import ApiError
from services.gateway.deltas import Delta, Usage
from services.gateway.response_output import Change, Item, Output
from services.gateway.schema.response_format import JsonObjectFormat
from services.gateway.schema.responses import AllowedTools, JsonSchemaFormat, NamedTool, ResponseRequest
from services.gateway.terms import CLASSES

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What every form of one response repeats."""

    response_id: str
    created: int
    """Unix seconds."""
    model: str
    echo: Json
    """The request's values, as they take effect."""


def usage_json(usage: Usage) -> Json:
    """Write usage; filling the prefix cache costs nothing, so nothing is counted for it."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_prompt_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def echo(body: ResponseRequest) -> Json:
    """Write the values that a request takes effect with, given or not."""
    effort = body.reasoning.effort if body.reasoning else None
    return {
        "background": False,
        "frequency_penalty": 0.0,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "presence_penalty": 0.0,
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "prompt_cache_retention": body.prompt_cache_retention,
        "reasoning": {"effort": effort, "summary": None},
        "safety_identifier": body.safety_identifier,
        "service_tier": CLASSES.get(body.service_tier or "", "default"),
        "store": body.keeps,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": {"format": _format(body), "verbosity": "medium"},
        "tool_choice": _tool_choice(body),
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": tool.is_strict,
            }
            for tool in body.functions
        ],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": "disabled",
        "user": body.user,
    }


def _format(body: ResponseRequest) -> Json:
    match body.shape:
        case JsonSchemaFormat() as shape:
            return {
                "type": "json_schema",
                "name": shape.name,
                "description": shape.description,
                "schema": shape.schema_,
                "strict": bool(shape.strict),
            }
        case JsonObjectFormat():
            return {"type": "json_object"}
        case _:
            return {"type": "text"}


def _tool_choice(body: ResponseRequest) -> str | Json:
    match body.tool_choice:
        case str() as word:
            return word
        case NamedTool(name=name):
            return {"type": "function", "name": name}
        case AllowedTools(mode=mode, tools=tools):
            named = [{"type": "function", "name": tool.name} for tool in tools]
            return {"type": "allowed_tools", "mode": mode, "tools": named}
        case _:
            return "auto"


def under_way(head: Head) -> Json:
    """Write the response as it is before its first item."""
    return _response(head, "in_progress", [], None)


def ended(head: Head, output: Output, usage: Usage, completed: int) -> Json:
    """Write the response that came to its end; `completed` is in unix seconds."""
    if output.incomplete:
        answer = _response(head, "incomplete", output.json(), usage)
        return answer | {"incomplete_details": {"reason": "max_output_tokens"}}
    return _response(head, "completed", output.json(), usage) | {"completed_at": completed}


def failed(head: Head, output: Output, error: ApiError) -> Json:
    """Write the response that was cut short by a fault of ours."""
    answer = _response(head, "failed", output.json(), None)
    return answer | {"error": {"code": "server_error", "message": error.message}}


def _response(head: Head, status: str, output: list[Json], usage: Usage | None) -> Json:
    return {
        "id": head.response_id,
        "object": "response",
        "created_at": head.created,
        "status": status,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": head.model,
        "output": output,
        "usage": usage_json(usage) if usage else None,
        **head.echo,
    }


class EventWriter:
    """Writes the events of one streamed response."""

    def __init__(self, head: Head, output: Output) -> None:
        self._head = head
        self._output = output
        self._number = 0
        self._frames: dict[int, tuple[bytes, bytes]] = {}

    def begin(self) -> bytes:
        """Write what comes before the first item."""
        response = under_way(self._head)
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def write(self, deltas: Iterable[Delta]) -> bytes:
        """Write what some deltas bring."""
        parts: list[bytes] = []
        for delta in deltas:
            item = self._output.more_text(delta)
            if item is not None:
                parts.append(self._text(item, delta.text))
            else:
                parts += map(self._change, self._output.add(delta))
        return b"".join(parts)

    def close(self) -> bytes:
        """Write the end of the last item."""
        return b"".join(self._change(change) for change in self._output.end())

    def end(self, response: Json) -> bytes:
        """Write the last event: the whole response."""
        return self._event(f"response.{response['status']}", response=response)

    def fail(self, error: ApiError) -> bytes:
        """Write the end of a response that failed.

        The document says that `error` is flat, the live service nests it, and clients read either: it is both.
        """
        fields: Json = {"code": error.code, "message": error.message, "param": error.param}
        nested = {"type": error.type, **fields}
        told = self._event("error", **fields, error=nested)
        return told + self.end(failed(self._head, self._output, error))

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = orjson.dumps({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)

    def _change(self, change: Change) -> bytes:
        item = change.item
        at: Json = {"item_id": item.id, "output_index": item.index}
        match change.kind, item.kind:
            case "opened", "function_call":
                return self._added(change)
            case "opened", _:
                empty = item.part | {"text": ""}
                return self._added(change) + self._event(
                    "response.content_part.added", **at, content_index=0, part=empty
                )
            case "grown", "message" if not change.logprobs:
                return self._text(item, change.text)
            case "grown", "message":
                return self._event(
                    "response.output_text.delta", **at, content_index=0, delta=change.text, logprobs=change.logprobs
                )
            case "grown", "function_call":
                return self._event("response.function_call_arguments.delta", **at, delta=change.text)
            case "grown", _:
                return self._event("response.reasoning_text.delta", **at, content_index=0, delta=change.text)
            case _:
                return self._closed(change, at)

    def _added(self, change: Change) -> bytes:
        item = change.item
        return self._event("response.output_item.added", output_index=item.index, item=item.json(empty=True))

    def _text(self, item: Item, text: str) -> bytes:
        """Write the commonest event of all from a template: only number and text differ from one to the next."""
        frame = self._frames.get(item.index)
        if frame is None:
            frame = self._frames[item.index] = (
                b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d,',
                b'"item_id":"%s","output_index":%d,"content_index":0,"delta":' % (item.id.encode(), item.index),
            )
        begin, place = frame
        number = self._number
        self._number = number + 1
        return begin % number + place + orjson.dumps(text) + b',"logprobs":[]}\n\n'

    def _closed(self, change: Change, at: Json) -> bytes:
        item, text = change.item, change.item.text
        match item.kind:
            case "function_call":
                done = self._event("response.function_call_arguments.done", **at, name=item.name, arguments=text)
            case "message":
                done = self._event(
                    "response.output_text.done", **at, content_index=0, text=text, logprobs=item.logprobs
                )
            case _:
                done = self._event("response.reasoning_text.done", **at, content_index=0, text=text)
        if item.kind != "function_call":
            done += self._event("response.content_part.done", **at, content_index=0, part=item.part)
        return done + self._event("response.output_item.done", output_index=item.index, item=item.json())
