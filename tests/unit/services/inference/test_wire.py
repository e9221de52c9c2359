"""From the wire to our values."""

from __future__ import annotations

from typing import Any

import pytest

from capstan.inference.v1 import inference_pb2 as pb
from services.inference.errors import InvalidRequestError
from services.inference.prompts import Conversation
from services.inference.request import Grammar, JsonObject, JsonSchema, Regex, Sampling
from services.inference.wire import CHOICES, Asked, read_start


def read(**fields: Any) -> Asked:
    known = {"request_id": "req_1", "organization_id": "org_1"}
    if not {"chat", "tokens", "text"} & fields.keys():
        known["text"] = "Hello"
    return read_start(pb.Start(**{**known, **fields}))


def talk(**fields: Any) -> Conversation:
    prompt = read(chat=pb.ChatPrompt(messages=[pb.ChatMessage(role="user", content="hi")], **fields)).prompt
    assert isinstance(prompt, Conversation)
    return prompt


def test_unset_means_openais_default() -> None:
    asked = read()
    assert asked.sampling == Sampling()
    assert (asked.prompt, asked.wanted, asked.adapter, asked.time_left_s, asked.echo) == (
        "Hello",
        None,
        None,
        None,
        False,
    )


def test_zero_is_not_unset() -> None:
    sampling = read(sampling=pb.Sampling(max_tokens=0, temperature=0, top_p=0, seed=0, top_logprobs=0)).sampling
    assert sampling == Sampling(max_tokens=0, temperature=0, top_p=0, seed=0, top_logprobs=0)


def test_everything_is_read() -> None:
    sampling = pb.Sampling(
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        presence_penalty=1,
        frequency_penalty=-1,
        logit_bias={7: 2.5},
        seed=-3,
        stop=["a", "b"],
        choice_count=2,
        top_logprobs=4,
        echo=True,
    )
    asked = read(
        tokens=pb.TokenPrompt(token_ids=[1, 2]), sampling=sampling, adapter="mine", adapter_path="/a", priority=-2
    )
    assert asked.sampling == Sampling(
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        presence_penalty=1,
        frequency_penalty=-1,
        logit_bias={7: 2.5},
        seed=-3,
        stop=("a", "b"),
        choices=2,
        top_logprobs=4,
        prompt_logprobs=4,
    )
    assert (asked.prompt, asked.echo, asked.adapter, asked.priority) == ([1, 2], True, ("mine", "/a"), -2)


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        (pb.OutputFormat(json_object=True), JsonObject()),
        (pb.OutputFormat(json_object=False), None),
        (pb.OutputFormat(json_schema="{}"), JsonSchema("{}")),
        (pb.OutputFormat(regex="a"), Regex("a")),
        (pb.OutputFormat(grammar="b"), Grammar("b")),
    ],
)
def test_formats_are_read(form: pb.OutputFormat, wanted: object) -> None:
    assert read(format=form).wanted == wanted


def test_a_conversation_is_shaped_as_templates_know_it() -> None:
    call = pb.ToolCall(call_id="call_1", name="f", arguments="{}")
    messages = [
        pb.ChatMessage(role="user", content="hi", name="Ann"),
        pb.ChatMessage(role="assistant", tool_calls=[call]),
        pb.ChatMessage(role="tool", content="7", tool_call_id="call_1"),
    ]
    prompt = read(chat=pb.ChatPrompt(messages=messages)).prompt
    assert isinstance(prompt, Conversation)
    assert prompt.messages == [
        {"role": "user", "content": "hi", "name": "Ann"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "7", "tool_call_id": "call_1"},
    ]


def test_functions_and_the_choice_among_them_are_read() -> None:
    tool = pb.FunctionTool(name="f", description="does", parameters_json='{"type": "object"}', strict=True)
    conversation = talk(tools=[tool], tool_choice=pb.TOOL_CHOICE_NAMED, tool_name="f", reasoning_effort="low")
    [function] = conversation.callable
    assert (function.name, function.parameters, function.strict) == ("f", {"type": "object"}, True)
    assert (conversation.choice, conversation.parallel, conversation.effort) == ("named", False, "low")


def test_every_choice_on_the_wire_is_known() -> None:
    assert CHOICES.keys() == set(pb.ToolChoice.values())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"request_id": ""}, "request_id"),
        ({"organization_id": ""}, "organization_id"),
        ({"chat": pb.ChatPrompt()}, "messages"),
        ({"format": pb.OutputFormat()}, "response_format"),
        ({"format": pb.OutputFormat(json_schema="7")}, "response_format"),
        ({"format": pb.OutputFormat(json_schema="[" * 100_000)}, "response_format"),
    ],
)
def test_what_is_missing_or_senseless_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        read(**fields)
    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": pb.TOOL_CHOICE_REQUIRED}, "tool_choice"),
        ({"tool_choice": pb.TOOL_CHOICE_NAMED, "tool_name": "g", "tools": [pb.FunctionTool(name="f")]}, "tool_choice"),
        ({"tool_choice": 77}, "tool_choice"),
        ({"tools": [pb.FunctionTool(name="f", parameters_json="{")]}, "tools"),
    ],
)
def test_a_call_that_cannot_be_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        talk(**fields)
    assert refusal.value.param == param


def test_a_request_without_a_prompt_is_refused() -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        read_start(pb.Start(request_id="req_1", organization_id="org_1"))
    assert refusal.value.param == "prompt"


def test_weight_is_what_has_to_be_tokenized() -> None:
    assert read(text="x" * 50).weight == 50
    assert read(tokens=pb.TokenPrompt(token_ids=[1] * 50)).weight == 0
    chat = pb.ChatPrompt(messages=[pb.ChatMessage(role="user", content="x" * 30)] * 2)
    assert read(chat=chat).weight == 60
