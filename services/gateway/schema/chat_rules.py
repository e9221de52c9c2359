"""The rules of a chat request that span several of its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.gateway import request_errors
from services.gateway.api_error import ApiError
from services.gateway.schema.messages import text_of
from services.gateway.schema.response_format import JsonObjectFormat, JsonSchemaFormat
from services.gateway.schema.strict_schema import problem_of
from services.gateway.schema.tools import AllowedToolsChoice, Function, NamedFunction, NamedToolChoice

if TYPE_CHECKING:
    from services.gateway.schema.chat import ChatCompletionRequest


def check_chat(body: ChatCompletionRequest) -> None:
    """Raise `ApiError` for the first rule that `body` breaks."""
    _check_messages(body)
    _check_tools(body)
    _check_functions(body)
    _check_format(body)


def _check_messages(body: ChatCompletionRequest) -> None:
    """Calls and their answers belong together; the live service writes these paths with a dot."""
    unanswered: list[str] = []
    for index, message in enumerate(body.messages):
        if message.role == "tool":
            if message.tool_call_id not in unanswered:
                raise _out_of_order(
                    index,
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                )
            unanswered.remove(message.tool_call_id)
            continue
        if unanswered:
            raise _unanswered(index, unanswered)
        if message.role == "assistant":
            if message.tool_calls:
                unanswered = [call.id for call in message.tool_calls if call.type == "function"]
            elif message.content is None and message.function_call is None and message.refusal is None:
                raise request_errors.invalid_type(
                    f"messages[{index}].content", "one of a string or array of objects", "null"
                )
    if unanswered:
        raise _unanswered(len(body.messages), unanswered)


def _out_of_order(index: int, why: str) -> ApiError:
    return ApiError(400, f"Invalid parameter: {why}", param=f"messages.[{index}].role")


def _unanswered(index: int, ids: list[str]) -> ApiError:
    return ApiError(
        400,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(ids)}",
        param=f"messages.[{index}].role",
    )


def _check_tools(body: ChatCompletionRequest) -> None:
    if body.tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(body, name) is not None:
                raise request_errors.only_allowed_when(name, "'tools' are specified")
        return
    if body.functions is not None:
        raise request_errors.only_allowed_when("functions", "'tools' are not specified")
    names = {function.name for function in body.calling.functions}
    choice = body.tool_choice
    if isinstance(choice, NamedToolChoice):
        _check_known("tool_choice", choice.function.name, names, "tools")
    elif isinstance(choice, AllowedToolsChoice):
        names = {tool.function.name for tool in body.tools if tool.type == "function"}
        for allowed in choice.allowed_tools.tools:
            _check_known("tool_choice", allowed.function.name, names, "tools")
    for index, tool in enumerate(body.tools):
        if tool.type == "function":
            _check_parameters(tool.function, f"tools[{index}].function.parameters")


def _check_functions(body: ChatCompletionRequest) -> None:
    if body.functions is None:
        if body.function_call is not None:
            raise request_errors.only_allowed_when("function_call", "'functions' are specified")
        return
    for index, function in enumerate(body.functions):
        _check_parameters(function, f"functions[{index}].parameters")
    if isinstance(body.function_call, NamedFunction):
        names = {function.name for function in body.functions}
        _check_known("function_call", body.function_call.name, names, "functions")


def _check_known(param: str, name: str, names: set[str], where: str) -> None:
    if name not in names:
        raise ApiError(
            400,
            f"Invalid value for '{param}': no function named '{name}' was specified in the '{where}' parameter.",
            param=param,
        )


def _check_parameters(function: Function, path: str) -> None:
    problem = None if function.parameters is None else problem_of(function.parameters, strict=function.strict)
    if problem is not None:
        raise ApiError(
            400,
            f"Invalid schema for function '{function.name}': {problem}",
            code="invalid_function_parameters",
            param=path,
        )


def _check_format(body: ChatCompletionRequest) -> None:
    shape = body.response_format
    if isinstance(shape, JsonObjectFormat):
        if not any("json" in text_of(message).lower() for message in body.messages):
            raise ApiError(
                400,
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
                param="messages",
            )
    elif isinstance(shape, JsonSchemaFormat):
        named = shape.json_schema
        if named.schema_ is None and named.strict:
            raise request_errors.missing_parameter("response_format.json_schema.schema")
        problem = None if named.schema_ is None else problem_of(named.schema_, strict=named.strict)
        if problem is not None:
            raise ApiError(
                400, f"Invalid schema for response_format '{named.name}': {problem}", param="response_format"
            )
