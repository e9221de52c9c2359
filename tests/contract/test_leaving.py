"""A client that leaves in the middle stops the engine, and pays for what was made."""

import itertools
import time
from typing import Any

import pytest
from openai import OpenAI

from tests.contract.suite import Suite, endless, until
from tools.local.roster import CHAT

ENGINE_FREE_WITHIN_S = 2.0


def running(suite: Suite) -> float:
    return suite.metric(CHAT, "capstan_engine_requests_running") + suite.metric(CHAT, "capstan_engine_requests_waiting")


def aborted(suite: Suite) -> float:
    return suite.metric(CHAT, "capstan_inference_requests_total", finish="abort")


@pytest.fixture(autouse=True)
def _idle(suite: Suite) -> None:
    until(lambda: running(suite) == 0)


def test_a_stream_that_is_left_frees_the_engine_and_is_billed(suite: Suite, client: OpenAI, model: str) -> None:
    before = aborted(suite)
    raw = client.chat.completions.with_raw_response.create(**endless(model, stream=True))
    stream: Any = raw.parse()
    text = "".join(chunk.choices[0].delta.content or "" for chunk in itertools.islice(stream, 30))
    assert text
    assert running(suite) > 0
    stream.close()
    left_at = time.monotonic()
    until(lambda: running(suite) == 0, patience_s=ENGINE_FREE_WITHIN_S)
    assert time.monotonic() - left_at < ENGINE_FREE_WITHIN_S
    until(lambda: aborted(suite) == before + 1)
    request_id = raw.headers["x-request-id"]
    until(lambda: suite.billed([request_id]) == {request_id: "client_closed"})


def test_a_whole_answer_that_is_not_waited_for_frees_the_engine(suite: Suite, client: OpenAI, model: str) -> None:
    before = aborted(suite)
    with pytest.raises(Exception, match="timed out"):
        client.with_options(timeout=0.7).chat.completions.create(**endless(model))
    until(lambda: running(suite) == 0, patience_s=ENGINE_FREE_WITHIN_S)
    until(lambda: aborted(suite) == before + 1)


def test_who_stays_is_not_disturbed_by_who_leaves(suite: Suite, client: OpenAI, model: str) -> None:
    leaving: Any = client.chat.completions.create(**endless(model, stream=True))
    next(leaving)
    staying = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Count to 10"}], temperature=0, stream=True
    )
    first = next(staying)
    leaving.close()
    text = "".join(chunk.choices[0].delta.content or "" for chunk in (first, *staying))
    assert text == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
