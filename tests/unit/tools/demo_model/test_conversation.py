"""The text the model is trained on is the text that engines make with the chat template."""

import itertools
import json

import pytest

from tools.demo_model import corpus
from tools.demo_model.conversation import TEMPLATE, Conversation
from tools.demo_model.draw import Sources


def test_the_python_rendering_equals_the_chat_template() -> None:
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    for conversation in itertools.islice(corpus.conversations(Sources.load(), 11), 1500):
        rendered = template.render(messages=conversation.messages, tools=conversation.tools)
        assert rendered == conversation.text()


def test_only_what_the_assistant_says_is_learned() -> None:
    conversation = Conversation(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
        ]
    )
    assert [text for learned, text in conversation.pieces() if learned] == ["Hello!<|im_end|>"]
    assert conversation.text() == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello!<|im_end|>\n"
    )


def test_an_exam_is_the_prompt_and_the_last_answer() -> None:
    call = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich"}}}
    tool = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"properties": {"city": {}}}},
    }
    conversation = Conversation(
        [
            {"role": "user", "content": "In Zürich?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
        ],
        [tool],
    )
    prompt, wanted = conversation.exam()
    assert prompt.endswith(
        "get_weather(city)\n<|im_end|>\n<|im_start|>user\nIn Zürich?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert wanted == '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich"}}\n</tool_call>'
