"""What is set for a project holds for its next requests, without a restart of anything."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import openai
import pytest
from openai import OpenAI

from tests.contract.suite import Suite, until
from tools.local.roster import EMBEDDING_NAME

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
THREAT = [{"role": "user", "content": "I will kill you and your whole family, you disgusting animal."}]


@pytest.fixture
def project_id(client: OpenAI) -> str:
    return client.models.with_raw_response.list().headers["openai-project"]


@contextmanager
def given(suite: Suite, change: str, revert: str, project_id: str, holds: Callable[[], bool]) -> Iterator[None]:
    """Change a setting of the project; the block begins when it holds, and afterwards it does not any more."""
    suite.query(change, project_id)
    try:
        until(holds)
        yield
    finally:
        suite.query(revert, project_id)
        until(lambda: not holds())


def limit_of(suite: Suite, kind: str) -> int:
    """What embeddings are told of their limit; the chat model has meters of its own."""
    answer = suite.post("/v1/embeddings", {"model": EMBEDDING_NAME, "input": "x"})
    return int(answer.headers[f"x-ratelimit-limit-{kind}"])


def limited(suite: Suite, project_id: str, kind: str, limit: int) -> AbstractContextManager[None]:
    return given(
        suite,
        f"insert into auth.project_rate_limits (organization_id, project_id, {kind}_per_minute)"
        f" select organization_id, project_id, {limit} from auth.projects where project_id = $1",
        "delete from auth.project_rate_limits where project_id = $1",
        project_id,
        lambda: limit_of(suite, kind) == limit,
    )


def test_what_is_left_falls_with_use_until_a_request_is_refused(
    suite: Suite, client: OpenAI, model: str, project_id: str
) -> None:
    left = []

    def use_it_up() -> None:
        for _ in range(20):
            raw = client.chat.completions.with_raw_response.create(model=model, messages=CAPITAL, max_tokens=1)
            assert raw.headers["x-ratelimit-limit-requests"] == "5"
            left.append(int(raw.headers["x-ratelimit-remaining-requests"]))

    with limited(suite, project_id, "requests", 5), pytest.raises(openai.RateLimitError) as refusal:
        use_it_up()
    assert left[:3] == [4, 3, 2]
    error = refusal.value
    assert (error.code, error.type, error.param) == ("rate_limit_exceeded", "requests", None)
    headers = error.response.headers
    assert int(headers["retry-after"]) >= 1
    assert 0 < int(headers["retry-after-ms"]) <= 15_000
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert "Limit 5" in error.message


def test_a_request_that_never_fits_says_so_and_need_not_be_repeated(
    suite: Suite, client: OpenAI, model: str, project_id: str
) -> None:
    with limited(suite, project_id, "tokens", 300), pytest.raises(openai.RateLimitError) as refusal:
        client.chat.completions.create(model=model, messages=CAPITAL, max_tokens=1000)
    assert (refusal.value.code, refusal.value.type) == ("rate_limit_exceeded", "tokens")
    assert refusal.value.response.headers["x-should-retry"] == "false"


def is_threat_refused(suite: Suite, model: str) -> bool:
    answer = suite.post("/v1/chat/completions", {"model": model, "messages": THREAT, "max_tokens": 1})
    return answer.status == 400 and answer.error["code"] == "content_policy_violation"


def moderated(suite: Suite, project_id: str, model: str) -> AbstractContextManager[None]:
    return given(
        suite,
        "update auth.projects set moderation_policy = 'required' where project_id = $1",
        "update auth.projects set moderation_policy = 'off' where project_id = $1",
        project_id,
        lambda: is_threat_refused(suite, model),
    )


def test_a_project_that_requires_moderation_refuses_a_threat_and_answers_a_question(
    suite: Suite, client: OpenAI, model: str, project_id: str
) -> None:
    with moderated(suite, project_id, model):
        with pytest.raises(openai.BadRequestError) as refusal:
            client.chat.completions.create(model=model, messages=THREAT)
        assert refusal.value.code == "content_policy_violation"
        client.chat.completions.create(model=model, messages=CAPITAL)


@pytest.mark.disruptive
def test_without_moderation_a_project_that_requires_it_gets_a_503(
    suite: Suite, client: OpenAI, model: str, project_id: str
) -> None:
    with moderated(suite, project_id, model):
        with suite.without("moderation"), pytest.raises(openai.InternalServerError) as refusal:
            client.chat.completions.create(model=model, messages=CAPITAL)
        assert (refusal.value.status_code, refusal.value.code) == (503, "moderation_unavailable")


def test_a_model_that_the_project_may_not_use_is_refused(
    suite: Suite, client: OpenAI, model: str, project_id: str
) -> None:
    def is_refused() -> bool:
        try:
            client.embeddings.create(model=EMBEDDING_NAME, input="x")
        except openai.PermissionDeniedError as error:
            return error.code == "model_not_found"
        return False

    with given(
        suite,
        f"update auth.projects set allowed_models = '{{{model}}}' where project_id = $1",
        "update auth.projects set allowed_models = '{}' where project_id = $1",
        project_id,
        is_refused,
    ):
        client.chat.completions.create(model=model, messages=CAPITAL, max_tokens=1)


def test_a_revoked_key_is_refused_at_once(suite: Suite, client: OpenAI, project_id: str) -> None:
    def is_refused() -> bool:
        try:
            client.models.list()
        except openai.AuthenticationError as error:
            return error.code == "invalid_api_key"
        return False

    with given(
        suite,
        "update auth.keys set revoked_at = now() where project_id = $1",
        "update auth.keys set revoked_at = null where project_id = $1",
        project_id,
        is_refused,
    ):
        assert is_refused()
