"""The rows of `test_error_table`: one request that differs from a good one in one thing, and how it is refused."""

from dataclasses import dataclass
from typing import Any

from tools.local.roster import EMBEDDING_NAME

CHAT, TEXT, VECTORS, VERDICTS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/moderations"
DEMO = "capstan-demo"
GOOD: dict[str, dict[str, Any]] = {
    CHAT: {"model": DEMO, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
    TEXT: {"model": DEMO, "prompt": "Hi", "max_tokens": 1},
    VECTORS: {"model": EMBEDDING_NAME, "input": "Hi"},
    VERDICTS: {"input": "Hi"},
}
INVALID = "invalid_request_error"
ABSENT = object()


@dataclass(frozen=True)
class Row:
    """A good request's change, and the refusal it meets."""

    path: str
    change: dict[str, Any]
    param: str | None
    code: str | None
    message: str
    status: int = 400

    @property
    def body(self) -> dict[str, Any]:
        whole = GOOD[self.path] | self.change
        return {name: value for name, value in whole.items() if value is not ABSENT}


def said(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages)}


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f"} | function}


USER = {"role": "user", "content": "Hi"}
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
OPEN_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def wrong_type(path: str, expected: str, got: str) -> str:
    return f"Invalid type for '{path}': expected {expected}, but got {got} instead."


def beyond(path: str, kind: str, side: str, sign: str, bound: str, got: str) -> str:
    return f"Invalid '{path}': {kind} {side} value. Expected a value {sign} {bound}, but got {got} instead."


def number(name: str, kind: str, low: str, high: str, below: float, above: float, path: str = CHAT) -> list[Row]:
    """The two rows of a parameter with two bounds."""
    return [
        Row(
            path,
            {name: below},
            name,
            f"{kind}_below_min_value",
            beyond(name, kind, "below minimum", ">=", low, str(below)),
        ),
        Row(
            path,
            {name: above},
            name,
            f"{kind}_above_max_value",
            beyond(name, kind, "above maximum", "<=", high, str(above)),
        ),
    ]


def unsupported_value(path: str, value: str) -> str:
    return f"Unsupported value: '{path}' does not support '{value}' with this model."


def only(name: str, condition: str) -> str:
    return f"Invalid value for '{name}': '{name}' is only allowed when {condition}."


def unknown_value(value: str, supported: str) -> str:
    return f"Invalid value: '{value}'. Supported values are: {supported}."


def empty(name: str) -> str:
    return f"Invalid '{name}': empty array. Expected an array with minimum length 1, but got an empty array instead."


def missing(name: str) -> str:
    return f"Missing required parameter: '{name}'."


def unsupported(name: str) -> str:
    return f"Unsupported parameter: '{name}' is not supported with this model."


def absent(path: str, change: dict[str, Any], place: str) -> Row:
    return Row(path, change, place, "missing_required_parameter", missing(place))


def mistyped(path: str, change: dict[str, Any], place: str, expected: str, got: str) -> Row:
    return Row(path, change, place, "invalid_type", wrong_type(place, expected, got))


def unserved(path: str, change: dict[str, Any], place: str, value: str) -> Row:
    return Row(path, change, place, "unsupported_value", unsupported_value(place, value))


def unknown(path: str, change: dict[str, Any], place: str, value: str, supported: str) -> Row:
    return Row(path, change, place, "invalid_value", unknown_value(value, supported))


NO_MODEL = "you must provide a model parameter"
ROLES = "'developer', 'system', 'user', 'assistant', 'tool', and 'function'"
NO_SUCH = "The model `gpt-none` does not exist or you do not have access to it."
SHAPE = "one of a string or array of objects"
INPUT = "one of a string, array of strings, array of integers, or array of integer arrays"

ROWS = [
    # The model
    Row(CHAT, {"model": ABSENT}, None, None, NO_MODEL),
    Row(CHAT, {"model": None}, None, None, NO_MODEL),
    Row(CHAT, {"model": ""}, None, None, NO_MODEL),
    mistyped(CHAT, {"model": 7}, "model", "a string", "an integer"),
    Row(CHAT, {"model": "gpt-none"}, None, "model_not_found", NO_SUCH, 404),
    Row(TEXT, {"model": "gpt-none"}, None, "model_not_found", NO_SUCH, 404),
    Row(VECTORS, {"model": "gpt-none"}, None, "model_not_found", NO_SUCH, 404),
    Row(VERDICTS, {"model": "gpt-none"}, None, "model_not_found", NO_SUCH, 404),
    Row(
        CHAT,
        {"model": EMBEDDING_NAME},
        "model",
        None,
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
        404,
    ),
    Row(
        VECTORS,
        {"model": DEMO},
        "model",
        None,
        "This is not an embedding model and thus not supported in the v1/embeddings endpoint.",
        404,
    ),
    # Messages
    absent(CHAT, {"messages": ABSENT}, "messages"),
    Row(CHAT, {"messages": []}, "messages", "empty_array", empty("messages")),
    mistyped(CHAT, {"messages": "Hi"}, "messages", "an array of objects", "a string"),
    mistyped(CHAT, said("Hi"), "messages[0]", "an object", "a string"),
    absent(CHAT, said({"content": "Hi"}), "messages[0].role"),
    unknown(CHAT, said({"role": "wizard", "content": "Hi"}), "messages[0].role", "wizard", ROLES),
    absent(CHAT, said({"role": "user"}), "messages[0].content"),
    mistyped(CHAT, said(USER, {"role": "user", "content": None}), "messages[1].content", SHAPE, "null"),
    absent(CHAT, said({"role": "user", "content": [{"type": "text"}]}), "messages[0].content[0].text"),
    unserved(
        CHAT,
        said({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}]}),
        "messages[0].content[0].type",
        "image_url",
    ),
    Row(
        CHAT,
        said(USER | {"mood": "good"}),
        "messages[0].mood",
        "unknown_parameter",
        "Unknown parameter: 'messages[0].mood'.",
    ),
    Row(
        CHAT,
        said(USER, {"role": "tool", "tool_call_id": "call_1", "content": "x"}),
        "messages.[1].role",
        None,
        "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
    ),
    Row(
        CHAT,
        said(USER, CALLS, USER),
        "messages.[2].role",
        None,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        "The following tool_call_ids did not have response messages: call_1",
    ),
    # Numbers
    *number("temperature", "decimal", "0", "2", -1, 2.5),
    *number("top_p", "decimal", "0", "1", -0.5, 1.5),
    *number("presence_penalty", "decimal", "-2", "2", -2.5, 3),
    *number("frequency_penalty", "decimal", "-2", "2", -3, 2.5),
    *number("n", "integer", "1", "128", 0, 129),
    *number("top_logprobs", "integer", "0", "20", -1, 21),
    *number("logprobs", "integer", "0", "5", -1, 6, TEXT),
    *number("best_of", "integer", "0", "20", -1, 21, TEXT),
    Row(
        CHAT,
        {"max_tokens": 0},
        "max_tokens",
        "integer_below_min_value",
        beyond("max_tokens", "integer", "below minimum", ">=", "1", "0"),
    ),
    Row(
        TEXT,
        {"max_tokens": -1},
        "max_tokens",
        "integer_below_min_value",
        beyond("max_tokens", "integer", "below minimum", ">=", "0", "-1"),
    ),
    mistyped(CHAT, {"temperature": "hot"}, "temperature", "a decimal", "a string"),
    mistyped(CHAT, {"n": 1.5}, "n", "an integer", "a decimal number"),
    mistyped(CHAT, {"seed": True}, "seed", "an integer", "a boolean"),
    mistyped(CHAT, {"stream": "yes"}, "stream", "a boolean", "a string"),
    # Texts, lists, tables
    Row(
        CHAT,
        {"stop": list("abcde")},
        "stop",
        "array_above_max_length",
        "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 "
        "instead.",
    ),
    mistyped(CHAT, {"stop": 7}, "stop", "one of a string or array of strings", "an integer"),
    Row(
        CHAT,
        {"logit_bias": {"x": 1}},
        "logit_bias",
        None,
        "Invalid key in 'logit_bias': x. You should only be submitting non-negative integers.",
    ),
    Row(
        CHAT,
        {"logit_bias": {"5": 101}},
        "logit_bias.5",
        "decimal_above_max_value",
        beyond("logit_bias.5", "decimal", "above maximum", "<=", "100", "101"),
    ),
    Row(
        CHAT,
        {"metadata": {str(key): "" for key in range(17)}},
        "metadata",
        "object_above_max_properties",
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object "
        "with 17 properties instead.",
    ),
    Row(
        CHAT,
        {"safety_identifier": "x" * 65},
        "safety_identifier",
        "string_above_max_length",
        "Invalid 'safety_identifier': string too long. Expected a string with maximum length 64, but got a string with "
        "length 65 instead.",
    ),
    Row(CHAT, {"flavour": 1}, "flavour", "unknown_parameter", "Unknown parameter: 'flavour'."),
    # Rules between parameters
    Row(CHAT, {"top_logprobs": 3}, "top_logprobs", None, only("top_logprobs", "'logprobs' is enabled")),
    Row(
        CHAT,
        {"stream_options": {"include_usage": True}},
        "stream_options",
        None,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    ),
    Row(CHAT, {"tool_choice": "auto"}, "tool_choice", None, only("tool_choice", "'tools' are specified")),
    Row(
        CHAT,
        {"parallel_tool_calls": True},
        "parallel_tool_calls",
        None,
        only("parallel_tool_calls", "'tools' are specified"),
    ),
    Row(TEXT, {"best_of": 2, "stream": True}, "best_of", None, only("best_of", "'stream' is not enabled")),
    Row(
        TEXT,
        {"best_of": 1, "n": 2},
        "best_of",
        None,
        "Invalid value for 'best_of': 'best_of' must be at least 'n', which is 2.",
    ),
    # Tools and formats
    Row(CHAT, {"tools": []}, "tools", "empty_array", empty("tools")),
    unknown(CHAT, {"tools": [{"type": "hammer"}]}, "tools[0].type", "hammer", "'function' and 'custom'"),
    Row(
        CHAT,
        {"tools": [tool(name="a b")]},
        "tools[0].function.name",
        "invalid_value",
        "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern "
        "'^[a-zA-Z0-9_-]+$'.",
    ),
    Row(
        CHAT,
        {"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice",
        None,
        "Invalid value for 'tool_choice': no function named 'g' was specified in the 'tools' parameter.",
    ),
    Row(
        CHAT,
        {"tools": [tool(strict=True, parameters=OPEN_SCHEMA)]},
        "tools[0].function.parameters",
        "invalid_function_parameters",
        "Invalid schema for function 'f': In context=(), 'additionalProperties' is required to be supplied and to be "
        "false.",
    ),
    unknown(
        CHAT,
        {"response_format": {"type": "yaml"}},
        "response_format.type",
        "yaml",
        "'text', 'json_object', and 'json_schema'",
    ),
    Row(
        CHAT,
        {"response_format": {"type": "json_object"}},
        "messages",
        None,
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
    ),
    Row(
        CHAT,
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": OPEN_SCHEMA},
            }
        },
        "response_format",
        None,
        "Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required to be supplied and "
        "to be false.",
    ),
    Row(
        CHAT,
        {"functions": [{"name": "f", "parameters": {"items": {"$ref": "http://example.com/s"}}}]},
        "functions[0].parameters",
        "invalid_function_parameters",
        "Invalid schema for function 'f': In context=('items',), '$ref' to 'http://example.com/s' leaves the schema: "
        "only '#' and '#/…' are followed.",
    ),
    # What no served model does
    Row(CHAT, {"audio": {"voice": "x"}}, "audio", "unsupported_parameter", unsupported("audio")),
    Row(
        CHAT,
        {"web_search_options": {}},
        "web_search_options",
        "unsupported_parameter",
        unsupported("web_search_options"),
    ),
    unserved(CHAT, {"modalities": ["audio"]}, "modalities", "audio"),
    unknown(
        CHAT,
        {"reasoning_effort": "extreme"},
        "reasoning_effort",
        "extreme",
        "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'",
    ),
    Row(TEXT, {"suffix": "end"}, "suffix", "unsupported_parameter", unsupported("suffix")),
    # Prompts and inputs
    Row(TEXT, {"prompt": []}, "prompt", "empty_array", empty("prompt")),
    Row(
        TEXT,
        {"prompt": [-1]},
        "prompt[0]",
        "integer_below_min_value",
        beyond("prompt[0]", "integer", "below minimum", ">=", "0", "-1"),
    ),
    mistyped(TEXT, {"prompt": {"a": 1}}, "prompt", INPUT, "an object"),
    Row(VECTORS, {"input": ABSENT}, None, None, "'input' is a required property"),
    Row(VECTORS, {"input": ""}, None, None, "'' is too short - 'input'"),
    Row(VECTORS, {"input": []}, None, None, "[] is too short - 'input'"),
    Row(VECTORS, {"dimensions": 0}, None, None, "0 is less than the minimum of 1 - 'dimensions'"),
    Row(VECTORS, {"encoding_format": "hex"}, None, None, "'hex' is not one of ['float', 'base64'] - 'encoding_format'"),
    Row(VECTORS, {"x": 1}, None, None, "Additional properties are not allowed ('x' was unexpected)"),
    absent(VERDICTS, {"input": ABSENT}, "input"),
    Row(VERDICTS, {"input": []}, "input", "empty_array", empty("input")),
    mistyped(VERDICTS, {"input": 7}, "input", "one of a string, array of strings, or array of objects", "an integer"),
    unserved(
        VERDICTS,
        {"input": [{"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}]},
        "input[0].type",
        "image_url",
    ),
]
