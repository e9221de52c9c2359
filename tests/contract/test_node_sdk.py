"""OpenAI's SDK for Node against the running suite, where Node is: one session, judged piece by piece."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract.suite import Suite
from tools.local.roster import EMBEDDING_NAME

NODE = Path(__file__).parent / "node"
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's program with the locked SDK installed beside it."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    made = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "session.mjs"):
        shutil.copy(NODE / name, made)
    installing = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"],
        cwd=made,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if installing.returncode != 0:
        pytest.skip("npm could not install the SDK: is there a registry?")
    return made


@pytest.fixture(scope="module")
def told(folder: Path, suite: Suite, model: str) -> dict[str, Any]:
    stack = suite.stack
    environment = {"BASE_URL": stack.base_url, "API_KEY": stack.api_key, "MODEL": model}
    done = subprocess.run(
        ["node", "session.mjs"],
        cwd=folder,
        env=os.environ | environment | {"EMBEDDING_MODEL": EMBEDDING_NAME},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_question_is_answered_whole_and_in_pieces(told: dict[str, Any]) -> None:
    assert "Paris" in told["chat"]["text"]
    assert told["chat"]["request_id"].startswith("req_")
    assert told["stream"]["text"] == told["chat"]["text"]
    assert told["stream"]["finish"] == ["stop"]
    assert told["stream"]["usage"]["total_tokens"] == told["chat"]["usage"]["total_tokens"]


def test_a_streamed_call_is_put_together(told: dict[str, Any]) -> None:
    (call,) = told["tools"]["calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"location": "Boston"}
    assert told["tools"]["finish"] == "tool_calls"


def test_a_stream_can_be_left(told: dict[str, Any]) -> None:
    assert told["left"] is True


def test_vectors_come_decoded(told: dict[str, Any]) -> None:
    assert told["embeddings"]["dimensions"] == 384
    assert told["embeddings"]["lengths"] == pytest.approx([1.0, 1.0], abs=1e-4)
    assert told["embeddings"]["usage"]["total_tokens"] > 0


def test_models_verdicts_and_completions_are_there(told: dict[str, Any], model: str) -> None:
    assert {model, EMBEDDING_NAME} <= set(told["models"])
    assert told["model"] == model
    assert told["moderation"]["result"]["flagged"] is True
    assert len(told["moderation"]["result"]["categories"]) == 13
    assert told["legacy"] == "text_completion"


def test_a_key_makes_a_request_once(told: dict[str, Any]) -> None:
    assert told["keyed"] == {"same": True, "replayed": "true"}


@pytest.mark.parametrize(
    ("case", "name", "status", "code", "param"),
    [
        ("key", "AuthenticationError", 401, "invalid_api_key", None),
        ("model", "NotFoundError", 404, "model_not_found", None),
        ("parameter", "BadRequestError", 400, "decimal_above_max_value", "temperature"),
        ("stream", "BadRequestError", 400, "empty_array", "messages"),
        ("deletion", "PermissionDeniedError", 403, None, None),
    ],
)
def test_refusals_are_the_sdks_own_exceptions(
    told: dict[str, Any], case: str, name: str, status: int, code: str | None, param: str | None
) -> None:
    error = told["errors"][case]
    assert (error["name"], error["status"], error["code"], error["param"]) == (name, status, code, param)
    assert error["type"] == "invalid_request_error"
    assert error["requestID"].startswith("req_")
