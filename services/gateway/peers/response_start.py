"""From a request of the Responses API, and the conversation it goes on from, to what a replica is asked."""

from __future__ import annotations

from collections.abc import Sequence

from capstan.inference.v1 import inference_pb2
from services.gateway.conversation import Turn
from services.gateway.peers.inference_start import Start, chat_prompt
from services.gateway.schema.response_format import JsonObjectFormat
from services.gateway.schema.responses import ResponseRequest


def response_start(body: ResponseRequest, turns: Sequence[Turn]) -> Start:
    """Ask for the response to a conversation."""
    effort = body.reasoning.effort if body.reasoning else None
    sampling = inference_pb2.Sampling(choice_count=1)
    if body.max_output_tokens is not None:
        sampling.max_tokens = body.max_output_tokens
    if body.temperature is not None:
        sampling.temperature = body.temperature
    if body.top_p is not None:
        sampling.top_p = body.top_p
    if body.wants_logprobs:
        sampling.top_logprobs = body.top_logprobs or 0
    start = Start(chat=chat_prompt(map(_message, turns), body.calling, effort), sampling=sampling)
    if isinstance(body.shape, JsonObjectFormat):
        start.format.json_object = True
    elif body.json_schema:
        start.format.json_schema = body.json_schema
    return start


def _message(turn: Turn) -> inference_pb2.ChatMessage:
    return inference_pb2.ChatMessage(
        role=turn.role,
        content=turn.text,
        tool_calls=[
            inference_pb2.ToolCall(call_id=call.call_id, name=call.name, arguments=call.arguments)
            for call in turn.calls
        ],
        tool_call_id=turn.answers,
    )
