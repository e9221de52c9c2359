"""The forms of function calls, by the names that operators know from vLLM's `--tool-call-parser`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.inference import tool_calls_hermes, tool_calls_llama, tool_calls_mistral, tool_calls_pythonic
from services.inference.tool_calls import CallFinder


@dataclass(frozen=True, slots=True)
class CallForm:
    """How a model writes calls: how to find them, and how to force them."""

    finder: type[CallFinder]
    before: str
    """What is forced before the arguments; `NAME` stands for the function's."""
    after: str
    """What is forced after them."""
    trigger: str
    """A beginning of `before` after which text has to go on as a call."""
    separator: str
    """Between two calls."""
    control_tokens: bool = False
    """Whether control tokens mark calls: an engine leaves them out of the text unless it is told otherwise."""


FORMS: Mapping[str, CallForm | None] = {
    "hermes": CallForm(
        tool_calls_hermes.HermesFinder,
        before=f'{tool_calls_hermes.BEGIN}\n{{"name": "NAME", "arguments": ',
        after=f"}}\n{tool_calls_hermes.END}",
        trigger=tool_calls_hermes.BEGIN,
        separator="\n",
    ),
    "llama3_json": CallForm(
        tool_calls_llama.Llama3JsonFinder,
        before='{"name": "NAME", "parameters": ',
        after="}",
        trigger='{"name": "',
        separator="; ",
    ),
    "mistral": CallForm(
        tool_calls_mistral.MistralFinder,
        before=f"{tool_calls_mistral.BEGIN}NAME[ARGS]",
        after="",
        trigger=tool_calls_mistral.BEGIN,
        separator="",
        control_tokens=True,
    ),
    # JSON holds what Python's literals hold, and a schema can force it: so it is passed as `**{…}`.
    "pythonic": CallForm(
        tool_calls_pythonic.PythonicFinder, before="[NAME(**", after=")]", trigger="[NAME(", separator="\n"
    ),
    "none": None,
}
"""None: the model calls no functions."""
