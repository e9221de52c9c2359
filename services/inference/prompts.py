"""From a conversation to token ids, without letting anyone's words become the model's control tokens.

A chat template glues messages and control tokens (`<|im_end|>`, …) into one text, and a tokenizer cannot know which of
them a user typed. So every control token's spelling inside of a message is split by a mark before rendering, and what
stands on the two sides of a mark is tokenized apart: the model sees the same characters, and no turn ends where a user
wants it to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from services.inference.errors import PromptTooLongError
from services.inference.reasoning import ReasoningForm
from services.inference.tokenizer import Tokenizer

MARK = "\ufdd0"
"""A code point that Unicode reserves for use inside of programs; in a message it is replaced."""

# Roles that some templates do not know, by the one that says the same.
_ROLES = {"developer": "system"}


@dataclass(frozen=True, slots=True)
class Function:
    """A function the model may call."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of its arguments."""
    strict: bool = False
    """Whether its arguments are forced to follow the schema."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a client wants continued as a chat."""

    messages: Sequence[Mapping[str, Any]]
    """Shaped as in OpenAI's API; content is text."""
    functions: Sequence[Function] = ()
    choice: Literal["none", "auto", "required", "named"] = "auto"
    """Whether functions may, must or must not be called."""
    named: str = ""
    """The one to call."""
    parallel: bool = True
    """False: at most one call."""
    effort: str = ""
    """How hard to think, in the client's word; empty: the model's default."""

    @property
    def callable(self) -> Sequence[Function]:
        """What the model may call; it is not told of others."""
        if self.choice == "none":
            return ()
        return [f for f in self.functions if self.choice != "named" or f.name == self.named]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads."""

    token_ids: list[int]
    thinking: bool = False
    """True when it ends with the tag that opens a thought, so that the answer begins inside of one."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How long a text may be before it is clear, without tokenizing it, that it does not fit the context."""

    longest_token: int
    """Bytes of the longest token of the vocabulary, so at least the characters of any."""
    max_model_tokens: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, max_model_tokens: int) -> Bound | None:
        """The bound of a vocabulary; None where texts may shrink before they are tokenized."""
        if not tokenizer.keeps_characters:
            return None
        longest = max(len(tokenizer.token_bytes(token)) for token in range(tokenizer.vocabulary_size))
        return cls(max(1, longest), max_model_tokens)

    def check(self, text: str) -> None:
        """Raise PromptTooLongError, with the fewest tokens that the text can have."""
        fewest = -(-len(text) // self.longest_token)
        if fewest > self.max_model_tokens:
            raise PromptTooLongError(fewest, self.max_model_tokens)


class Prompts:
    """Makes prompts for one model."""

    def __init__(
        self, tokenizer: Tokenizer, bound: Bound | None = None, reasoning: ReasoningForm | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._reasoning = reasoning
        self._bound = bound
        spellings = sorted((text for text in tokenizer.control_texts if len(text) > 1), key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, spellings)) or r"(?!)")

    def text(self, text: str) -> Prompt:
        """A text to continue or embed: whoever writes the whole prompt may write control tokens.

        Raises PromptTooLongError when it is hopelessly too long: megabytes are not tokenized to be refused.
        """
        if self._bound is not None:
            self._bound.check(text)
        return Prompt(self._tokenizer.encode(text, framed=True))

    def said(self, text: str) -> list[int]:
        """Token ids of what a model has said: a control token that it spelled out stays a spelling."""
        ids: list[int] = []
        for part in self._defused(text).split(MARK):
            ids += self._tokenizer.encode(part, framed=False)
        return ids

    def chat(self, conversation: Conversation) -> Prompt:
        """A conversation, up to where the next answer begins.

        Raises NoChatTemplateError, TemplateRefusedError, and PromptTooLongError as `text` does.
        """
        options: dict[str, Any] = {}
        if conversation.effort:
            options = {"reasoning_effort": conversation.effort, "enable_thinking": conversation.effort != "none"}
        rendered = self._tokenizer.render_chat(
            [self._message(message) for message in conversation.messages],
            [self._tool(function) for function in conversation.callable],
            **options,
        )
        if self._bound is not None:
            self._bound.check(rendered)
        ids: list[int] = []
        for part in rendered.split(MARK):
            ids += self._tokenizer.encode(part, framed=False)
        thinking = self._reasoning is not None and rendered.rstrip().endswith(self._reasoning.begin)
        return Prompt(ids, thinking=thinking)

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        plain = dict(message)
        plain["role"] = _ROLES.get(plain["role"], plain["role"])
        if "tool_calls" in plain:
            plain["tool_calls"] = [_with_object(call) for call in plain["tool_calls"]]
        defused: dict[str, Any] = self._defused(plain)
        return defused

    def _tool(self, function: Function) -> dict[str, Any]:
        about: dict[str, Any] = {"name": function.name, "description": function.description}
        about["parameters"] = dict(function.parameters) or {"type": "object", "properties": {}}
        return {"type": "function", "function": self._defused(about)}

    def _defused(self, value: Any) -> Any:
        """The same value with a mark inside of every control token's spelling."""
        if isinstance(value, str):
            return self._controls.sub(_split, value.replace(MARK, "\ufffd"))
        if isinstance(value, Mapping):
            return {self._defused(key): self._defused(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._defused(item) for item in value]
        return value


def _split(match: re.Match[str]) -> str:
    return match[0][0] + MARK + match[0][1:]


def _with_object(call: Mapping[str, Any]) -> dict[str, Any]:
    """The call with its arguments as an object: templates write them as JSON themselves."""
    function = dict(call["function"])
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        arguments = None
    if isinstance(arguments, dict):
        function["arguments"] = arguments
    return {**call, "function": function}
