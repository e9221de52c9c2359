"""From items to what a model reads."""

from typing import Any

import pytest

from services.gateway.api_error import ApiError
from services.gateway.conversation import conversation, input_items, item_id, response_of
from services.gateway.schema.responses import ResponseRequest

ID = "resp_" + "0123456789abcdef" * 2


def items(given: list[dict[str, Any]] | str) -> list[dict[str, Any]]:
    return input_items(ResponseRequest.model_validate({"model": "m", "input": given}).input, ID)


def read(given: list[dict[str, Any]] | str) -> list[tuple[str, str, int]]:
    return [(turn.role, turn.text, len(turn.calls)) for turn in conversation(None, items(given))]


def call(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


def result(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": call_id}


USER = {"role": "user", "content": "Go."}
SAID = {"role": "assistant", "content": "Well."}


def test_a_text_is_a_message_of_the_user() -> None:
    assert items("Hello") == [
        {
            "id": f"msg_{ID[5:]}8000",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hello"}],
            "status": "completed",
        }
    ]


def test_an_item_leads_to_its_response() -> None:
    assert response_of(item_id("function_call_output", ID, 7)) == ID
    assert [response_of(other) for other in ("", "msg_1", ID, "msg_" + "0" * 37)] == [None] * 4


def test_names_that_the_client_gave_stay() -> None:
    named = [USER | {"id": "msg_mine"}, USER]
    assert [item["id"] for item in items(named)] == ["msg_mine", f"msg_{ID[5:]}8001"]


@pytest.mark.parametrize(
    "order",
    [
        [USER, SAID, call("a"), call("b"), result("a"), result("b")],
        [USER, call("a"), SAID, call("b"), result("b"), result("a")],
        [USER, call("a"), call("b"), SAID, result("a"), result("b")],
    ],
)
def test_what_was_said_and_called_at_once_is_one_turn(order: list[dict[str, Any]]) -> None:
    assert [(role, calls) for role, _, calls in read(order)] == [
        ("user", 0),
        ("assistant", 2),
        ("tool", 0),
        ("tool", 0),
    ]
    assert read(order)[1][1] == "Well."


def test_calls_one_after_the_other_are_turns_of_their_own() -> None:
    assert read([USER, call("a"), result("a"), call("b"), result("b"), SAID]) == [
        ("user", "Go.", 0),
        ("assistant", "", 1),
        ("tool", "a", 0),
        ("assistant", "", 1),
        ("tool", "b", 0),
        ("assistant", "Well.", 0),
    ]


@pytest.mark.parametrize(
    "order",
    [
        [call("a")],
        [call("a"), USER, result("a")],
        [result("a")],
        [call("a"), result("a"), result("a")],
        [call("a"), call("b"), result("a"), call("c"), result("b"), result("c")],
    ],
)
def test_calls_and_results_that_do_not_belong_together_are_refused(order: list[dict[str, Any]]) -> None:
    with pytest.raises(ApiError) as refused:
        read(order)
    assert (refused.value.status, refused.value.param) == (400, "input")
