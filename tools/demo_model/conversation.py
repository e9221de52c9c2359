"""A conversation, and the text a model sees of it: ChatML with Hermes tool calls.

`chat_template.jinja` is what engines use; `pieces` renders the same text and tells what the assistant said in
it, which is all that training learns.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Message = dict[str, Any]
"""A chat message as in OpenAI's API: role, content, tool_calls (with arguments as an object)."""

TEMPLATE = Path(__file__).parent / "chat_template.jinja"
START, END = "<|im_start|>", "<|im_end|>"


@dataclass
class Conversation:
    """Messages, the last of them the assistant's, and the tools that were offered."""

    messages: list[Message]
    tools: list[dict[str, Any]] = field(default_factory=list)

    @property
    def system(self) -> str | None:
        """Return the system prompt, if there is one."""
        return self.messages[0]["content"] if self.messages[0]["role"] == "system" else None

    def pieces(self) -> Iterator[tuple[bool, str]]:
        """Yield (is it to be learned, text) pieces; joined they are what the chat template renders."""
        if self.tools:
            listing = "".join(f"{t['function']['name']}({_parameters(t)})\n" for t in self.tools)
            yield (
                False,
                f"{START}system\n" + (f"{self.system}\n" if self.system else "") + f"Tools:\n{listing}{END}\n",
            )
        elif self.system:
            yield False, f"{START}system\n{self.system}{END}\n"
        for message in self.messages:
            if message["role"] != "system":
                yield False, f"{START}{message['role']}\n"
                yield message["role"] == "assistant", spoken(message) + END
                yield False, "\n"

    def text(self) -> str:
        """Return the whole conversation as the chat template renders it."""
        return "".join(text for _, text in self.pieces())

    def exam(self) -> tuple[str, str]:
        """Return the prompt before the last answer, and that answer."""
        pieces = list(self.pieces())
        return "".join(text for _, text in pieces[:-2]), pieces[-2][1].removesuffix(END)


def spoken(message: Message) -> str:
    """Return what a message says between its header and its end, tool calls included."""
    if not message.get("tool_calls"):
        return str(message["content"])
    return "\n".join(_called(call["function"]) for call in message["tool_calls"])


def _called(function: dict[str, Any]) -> str:
    call = f'{{"name": "{function["name"]}", "arguments": {dumps(function["arguments"])}}}'
    return f"<tool_call>\n{call}\n</tool_call>"


def dumps(value: object) -> str:
    """Write JSON as the chat template's `tojson` does: one line, accents kept."""
    return json.dumps(value, ensure_ascii=False)


def _parameters(tool: dict[str, Any]) -> str:
    parameters = tool["function"].get("parameters") or {}
    return ", ".join(parameters.get("required") or parameters.get("properties") or {})
