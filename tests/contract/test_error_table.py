"""What clients see when a request is refused: status, type, param, code and words, row by row.

One row is one request that differs from a good one in one thing. Messages are compared whole.
"""

import json

import pytest

from tests.contract.error_rows import CHAT, DEMO, GOOD, INVALID, NO_MODEL, ROWS, Row
from tests.contract.suite import Suite, until


def name(row: Row) -> str:
    return f"{row.path.rpartition('/v1/')[2]} {json.dumps(row.change, default=lambda _: 'absent')[:60]}"


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(ROWS) >= 60
    assert len({name(row) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("path", GOOD)
def test_the_request_that_every_row_spoils_is_good(suite: Suite, path: str) -> None:
    until(lambda: suite.post(path, GOOD[path]).status == 200)  # an engine may still be starting


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_refusal_has_these_words(suite: Suite, row: Row) -> None:
    answer = suite.post(row.path, row.body)
    told = answer.error
    assert (answer.status, told["type"], told["param"], told["code"]) == (row.status, INVALID, row.param, row.code), (
        told
    )
    assert told["message"] == row.message
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "expected", "message"),
    [
        (
            "POST",
            CHAT,
            b"{",
            {},
            (400, None),
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            "library correctly. The body must be a valid JSON object in UTF-8; reading stopped at byte 1.)",
        ),
        (
            "POST",
            CHAT,
            b"",
            {},
            (400, None),
            "We could not parse the JSON body of your request. (HINT: The body is empty.)",
        ),
        (
            "POST",
            CHAT,
            b"a=1",
            {"content-type": "application/x-www-form-urlencoded"},
            (415, "unsupported_content_type"),
            "Unsupported content type: 'application/x-www-form-urlencoded'. This API method only accepts "
            "'application/json' requests. Please try again with a supported content type.",
        ),
        (
            "POST",
            CHAT,
            b"x",
            {"content-encoding": "gzip"},
            (415, "unsupported_content_encoding"),
            "Unsupported content encoding: 'gzip'. Please send the body uncompressed.",
        ),
        (
            "POST",
            CHAT,
            b"{}",
            {"idempotency-key": "a b"},
            (400, None),
            NO_MODEL,
        ),
        (
            "GET",
            "/v1/nothing",
            None,
            {},
            (404, "unknown_url"),
            "Unknown request URL: GET /v1/nothing. Please check the URL for typos.",
        ),
        (
            "GET",
            "/v1/completions",
            None,
            {},
            (405, "method_not_supported"),
            "Not allowed to GET on /v1/completions. (HINT: Perhaps you meant to use a different HTTP method?)",
        ),
        ("GET", "/v1/models/x%2Fy", None, {}, (404, "model_not_found"), "The model 'x/y' does not exist"),
        (
            "DELETE",
            f"/v1/models/{DEMO}",
            None,
            {},
            (403, None),
            f"The model '{DEMO}' is a base model and cannot be deleted. Only fine-tuned models can be.",
        ),
        (
            "GET",
            "/v1/models",
            None,
            {"authorization": "Bearer sk-wrong"},
            (401, "invalid_api_key"),
            "Incorrect API key provided: sk-wrong. You can get an API key from the administrator of your organization.",
        ),
        (
            "GET",
            "/v1/models",
            None,
            {"authorization": "Basic x"},
            (401, None),
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY).",
        ),
        (
            "GET",
            "/v1/models",
            None,
            {"openai-organization": "org-other"},
            (401, "mismatched_organization"),
            "OpenAI-Organization header should match organization for API key",
        ),
        (
            "GET",
            "/v1/models",
            None,
            {"openai-project": "proj_other"},
            (401, "mismatched_project"),
            "OpenAI-Project header should match project for API key",
        ),
    ],
)
def test_a_request_that_is_none_is_told_so(
    suite: Suite,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    expected: tuple[int, str | None],
    message: str,
) -> None:
    answer = suite.request(method, path, body, headers=headers)
    assert (answer.status, answer.error["code"]) == expected
    assert (answer.error["type"], answer.error["message"]) == (INVALID, message)
