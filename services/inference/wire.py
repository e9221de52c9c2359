"""From the messages of inference.proto to our own values; what is missing or senseless is refused by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from capstan.inference.v1 import inference_pb2
from services.inference.adapter_shelf import Brought
from services.inference.errors import InvalidRequestError
from services.inference.prompts import Conversation, Function
from services.inference.request import Constraint, Grammar, JsonObject, JsonSchema, Regex, Sampling

CHOICES: dict[int, Literal["none", "auto", "required", "named"]] = {
    inference_pb2.TOOL_CHOICE_UNSPECIFIED: "auto",
    inference_pb2.TOOL_CHOICE_NONE: "none",
    inference_pb2.TOOL_CHOICE_AUTO: "auto",
    inference_pb2.TOOL_CHOICE_REQUIRED: "required",
    inference_pb2.TOOL_CHOICE_NAMED: "named",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A `Start`, read."""

    request_id: str
    organization_id: str
    prompt: Conversation | str | Sequence[int]
    sampling: Sampling
    echo: bool
    wanted: Constraint | None
    adapter: Brought | None
    priority: int
    time_left_s: float | None
    admission: bytes = b""
    """What billing is to be told beside the counts; not read here."""
    said: str = ""
    """The beginning of the answer, which is not made again."""

    @property
    def weight(self) -> int:
        """About how many characters have to be tokenized."""
        if isinstance(self.prompt, Conversation):
            texts = (message["content"] for message in self.prompt.messages)
            tools = sum(len(str(function.parameters)) for function in self.prompt.functions)
            return sum(map(len, texts)) + tools + len(self.said)
        return (len(self.prompt) if isinstance(self.prompt, str) else 0) + len(self.said)


def read_start(start: inference_pb2.Start) -> Asked:
    """Read a request. Raises InvalidRequestError."""
    if not start.request_id:
        raise InvalidRequestError("a request needs an id", param="request_id")
    if not start.organization_id:
        raise InvalidRequestError("a request needs an organization", param="organization_id")
    return Asked(
        request_id=start.request_id,
        organization_id=start.organization_id,
        prompt=_prompt(start),
        sampling=_sampling(start.sampling),
        echo=start.sampling.echo,
        wanted=_format(start.format) if start.HasField("format") else None,
        adapter=Brought(start.adapter, start.adapter_path) if start.adapter else None,
        priority=start.priority,
        time_left_s=start.time_left.ToNanoseconds() / 1e9 if start.HasField("time_left") else None,
        admission=start.admission,
        said=_said(start),
    )


def _said(start: inference_pb2.Start) -> str:
    if not start.HasField("continuation"):
        return ""
    sampling = start.sampling
    told = sampling.echo or sampling.HasField("top_logprobs") or start.HasField("format")
    if told or sampling.choice_count > 1 or start.chat.tools:
        raise InvalidRequestError("only plain text can be continued", param="continuation")
    return start.continuation.text


def _prompt(start: inference_pb2.Start) -> Conversation | str | Sequence[int]:
    match start.WhichOneof("prompt"):
        case "chat":
            return read_conversation(start.chat)
        case "text":
            return start.text
        case "tokens":
            return list(start.tokens.token_ids)
    raise InvalidRequestError("a request needs a prompt", param="prompt")


def read_conversation(chat: inference_pb2.ChatPrompt) -> Conversation:
    """Read a conversation. Raises InvalidRequestError."""
    if not chat.messages:
        raise InvalidRequestError("a conversation needs a message", param="messages")
    if chat.tool_choice not in CHOICES:
        raise InvalidRequestError("there is no such choice", param="tool_choice")
    conversation = Conversation(
        messages=[_message(message) for message in chat.messages],
        functions=[_function(tool) for tool in chat.tools],
        choice=CHOICES[chat.tool_choice],
        named=chat.tool_name,
        parallel=chat.parallel_tool_calls,
        effort=chat.reasoning_effort,
    )
    if conversation.choice in ("required", "named") and not conversation.callable:
        raise InvalidRequestError("there is no such function to call", param="tool_choice")
    return conversation


def _message(message: inference_pb2.ChatMessage) -> dict[str, Any]:
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name:
        plain["name"] = message.name
    if message.tool_call_id:
        plain["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        plain["tool_calls"] = [
            {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return plain


def _function(tool: inference_pb2.FunctionTool) -> Function:
    parameters = _object(tool.parameters_json, "tools") if tool.parameters_json else {}
    return Function(tool.name, tool.description, parameters, tool.strict)


def _object(text: str, param: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequestError("a JSON Schema is a JSON object", param=param)
    return value


def _sampling(sampling: inference_pb2.Sampling) -> Sampling:
    top = sampling.top_logprobs if sampling.HasField("top_logprobs") else None
    return Sampling(
        max_tokens=sampling.max_tokens if sampling.HasField("max_tokens") else None,
        temperature=sampling.temperature if sampling.HasField("temperature") else 1.0,
        top_p=sampling.top_p if sampling.HasField("top_p") else 1.0,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        logit_bias=dict(sampling.logit_bias),
        seed=sampling.seed if sampling.HasField("seed") else None,
        stop=tuple(sampling.stop),
        choices=sampling.choice_count or 1,
        top_logprobs=top,
        prompt_logprobs=top if sampling.echo else None,
    )


def _format(form: inference_pb2.OutputFormat) -> Constraint | None:
    match form.WhichOneof("format"):
        case "json_object":
            return JsonObject() if form.json_object else None
        case "json_schema":
            _object(form.json_schema, "response_format")
            return JsonSchema(form.json_schema)
        case "regex":
            return Regex(form.regex)
        case "grammar":
            return Grammar(form.grammar)
    raise InvalidRequestError("a format needs a kind", param="response_format")
