"""From a validated body to what a replica is asked: rebuilt field by field, never the client's bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from capstan.inference.v1 import inference_pb2
from services.gateway.schema.chat import ChatCompletionRequest
from services.gateway.schema.completions import CompletionRequest
from services.gateway.schema.messages import AnyMessage, AssistantMessage, FunctionCall, ToolMessage, text_of
from services.gateway.schema.sampling import SamplingRequest
from services.gateway.schema.tools import Calling

Start = inference_pb2.Start

_TOOL_CHOICES: dict[str, inference_pb2.ToolChoice.ValueType] = {
    "none": inference_pb2.TOOL_CHOICE_NONE,
    "auto": inference_pb2.TOOL_CHOICE_AUTO,
    "required": inference_pb2.TOOL_CHOICE_REQUIRED,
    "named": inference_pb2.TOOL_CHOICE_NAMED,
}


def chat_start(body: ChatCompletionRequest) -> Start:
    """Ask for the answer of a conversation."""
    chat = chat_prompt(map(_message, body.messages), body.calling, body.reasoning_effort)
    start = Start(chat=chat, sampling=_sampling(body, body.token_ceiling))
    if body.logprobs:
        start.sampling.top_logprobs = body.top_logprobs or 0
    if body.wants_json_object:
        start.format.json_object = True
    elif body.json_schema is not None:
        start.format.json_schema = orjson.dumps(body.json_schema).decode()
    return start


def chat_prompt(
    messages: Iterable[inference_pb2.ChatMessage], calling: Calling, reasoning_effort: str | None
) -> inference_pb2.ChatPrompt:
    """Put a conversation and the functions it may call together."""
    return inference_pb2.ChatPrompt(
        messages=messages,
        tools=[
            inference_pb2.FunctionTool(
                name=function.name,
                description=function.description or "",
                parameters_json=function.parameters_json,
                strict=bool(function.strict),
            )
            for function in calling.functions
        ],
        tool_choice=_TOOL_CHOICES[calling.mode],
        tool_name=calling.name,
        parallel_tool_calls=calling.parallel,
        reasoning_effort=reasoning_effort or "",
    )


def completion_starts(body: CompletionRequest) -> list[Start]:
    """Ask for the continuations of each prompt of a legacy request."""
    starts = []
    for prompt in body.prompts:
        sampling = _sampling(body, body.token_ceiling)
        sampling.echo = bool(body.echo)
        sampling.choice_count = body.candidate_count
        if body.logprobs is not None:
            sampling.top_logprobs = body.logprobs
        elif body.candidate_count > body.choice_count:
            sampling.top_logprobs = 0  # candidates are ranked by the probability of their own tokens
        if isinstance(prompt, str):
            starts.append(Start(text=prompt, sampling=sampling))
        else:
            starts.append(Start(tokens=inference_pb2.TokenPrompt(token_ids=prompt), sampling=sampling))
    return starts


def may_continue(starts: Sequence[Start]) -> bool:
    """Say whether another replica could go on with what one began: plain text, one choice, nothing beside it.

    With stop texts an engine holds back what may become one, so what was told can end inside of a token.
    """
    if len(starts) != 1:
        return False
    start = starts[0]
    sampling = start.sampling
    told = sampling.echo or sampling.HasField("top_logprobs") or start.HasField("format") or sampling.stop
    return not told and sampling.choice_count <= 1 and not start.chat.tools


def continued(start: Start, text: str) -> Start:
    """Ask for the rest of an answer that began with `text`."""
    rest = Start()
    rest.CopyFrom(start)
    rest.continuation.text = text
    return rest


def _sampling(body: SamplingRequest, token_ceiling: int | None) -> inference_pb2.Sampling:
    sampling = inference_pb2.Sampling(
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        stop=body.stop_texts,
        choice_count=body.choice_count,
        logit_bias=body.biases,
    )
    # Unset means the default, 0 means 0: only what was given is set.
    if token_ceiling is not None:
        sampling.max_tokens = token_ceiling
    if body.temperature is not None:
        sampling.temperature = body.temperature
    if body.top_p is not None:
        sampling.top_p = body.top_p
    if body.seed is not None:
        sampling.seed = body.seed
    return sampling


def _message(message: AnyMessage) -> inference_pb2.ChatMessage:
    wire = inference_pb2.ChatMessage(role=message.role, content=text_of(message))
    if not isinstance(message, ToolMessage):
        wire.name = message.name or ""
    if isinstance(message, AssistantMessage):
        for call in message.tool_calls or ():
            if isinstance(call, FunctionCall):
                wire.tool_calls.add(call_id=call.id, name=call.function.name, arguments=call.function.arguments)
        if message.function_call is not None:
            wire.tool_calls.add(name=message.function_call.name, arguments=message.function_call.arguments)
    elif isinstance(message, ToolMessage):
        wire.tool_call_id = message.tool_call_id
    return wire
