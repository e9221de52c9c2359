"""Which shape an answer must have, when functions, their strictness and a wanted format come together.

Calls are forced with XGrammar's structural tags: free text in which a tag, once begun, has to go on as a call of a
known function with arguments that follow its schema.
"""

from __future__ import annotations

import json
from typing import Any

from services.inference.prompts import Conversation, Function
from services.inference.request import Constraint, Grammar, JsonObject, JsonSchema, Regex, StructuralTag
from services.inference.tool_call_forms import CallForm

LONGEST_GAP = 8
"""White space in a row inside forced arguments: a model that is lost writes line ends until its tokens are used up."""


def constraint_of(wanted: Constraint | None, conversation: Conversation, form: CallForm) -> Constraint | None:
    """What the engine has to enforce; None: nothing. `form`: how the model writes calls.

    Functions that must be called leave no room for another format. Where they may be called, the answer is either calls
    or text in the format.
    """
    functions = conversation.callable
    if not functions:
        return wanted
    tags = [_tag(function, form) for function in functions]
    triggers = sorted({form.trigger.replace("NAME", function.name) for function in functions})
    if conversation.choice in ("required", "named"):
        one = conversation.choice == "named" or not conversation.parallel
        return _structural(_triggered(triggers, tags, at_least_one=True, stop_after_first=one))
    if wanted is not None:
        calls = {
            "type": "tags_with_separator",
            "tags": tags,
            "separator": form.separator,
            "at_least_one": True,
            "stop_after_first": not conversation.parallel,
        }
        return _structural({"type": "or", "elements": [_format(wanted), calls]})
    if any(function.strict for function in functions):
        return _structural(_triggered(triggers, tags, at_least_one=False, stop_after_first=False))
    return None


def _structural(form: dict[str, Any]) -> StructuralTag:
    return StructuralTag(json.dumps({"type": "structural_tag", "format": form}))


def _triggered(
    triggers: list[str], tags: list[dict[str, Any]], *, at_least_one: bool, stop_after_first: bool
) -> dict[str, Any]:
    return {
        "type": "triggered_tags",
        "triggers": triggers,
        "tags": tags,
        "at_least_one": at_least_one,
        "stop_after_first": stop_after_first,
    }


def _tag(function: Function, form: CallForm) -> dict[str, Any]:
    schema = dict(function.parameters) or {"type": "object"}
    return {
        "type": "tag",
        "begin": form.before.replace("NAME", function.name),
        "content": {"type": "json_schema", "json_schema": schema, "max_whitespace_cnt": LONGEST_GAP},
        "end": form.after,
    }


def _format(wanted: Constraint) -> dict[str, Any]:
    match wanted:
        case JsonSchema(schema):
            return {"type": "json_schema", "json_schema": json.loads(schema)}
        case JsonObject():
            return {"type": "json_schema", "json_schema": {"type": "object"}}
        case Regex(pattern):
            return {"type": "regex", "pattern": pattern}
        case Grammar(ebnf):
            return {"type": "grammar", "grammar": ebnf}
        case _:
            raise ValueError(f"{type(wanted).__name__} cannot be combined with functions")
