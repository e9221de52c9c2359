"""What clients see while each process of the suite is away, and that all is well when it is back.

The table "What happens when something is away" of docs/architecture.md, row by row, by SIGKILL.
"""

import secrets
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI

from capstan.jobs.v1 import jobs_pb2, jobs_pb2_grpc
from chassis import keys
from chassis.rpc_client import call, connect
from tests.contract.suite import PATIENCE_S, Suite, endless, until
from tools.local.roster import CHAT, EMBEDDING_NAME, EMBEDDINGS

pytestmark = pytest.mark.disruptive

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


class Desk:
    """Asks with a new connection each time, because a gateway may have been another before."""

    def __init__(self, sdk: dict[str, Any], model: str) -> None:
        self._sdk = sdk
        self._model = model

    def ask(self, **changes: Any) -> str:
        """Ask once; answer the request's id. Raises what the SDK raises."""
        with OpenAI(**self._sdk | changes) as client:
            raw = client.chat.completions.with_raw_response.create(
                model=self._model, messages=CAPITAL, temperature=0, max_tokens=20
            )
            completion: Any = raw.parse()
            assert "Paris" in completion.choices[0].message.content
            return raw.headers["x-request-id"]

    def embed(self) -> None:
        with OpenAI(**self._sdk) as client:
            client.embeddings.create(model=EMBEDDING_NAME, input="x")

    def models(self) -> list[str]:
        with OpenAI(**self._sdk) as client:
            return [model.id for model in client.models.list()]

    def is_served(self) -> bool:
        return _goes_well(self.ask)


@pytest.fixture
def desk(sdk: dict[str, Any], model: str) -> Desk:
    made = Desk(sdk, model)
    until(made.is_served)  # and the key is known
    return made


def refused(work: Callable[[], object]) -> openai.APIStatusError:
    """What a service that is away looks like: a 503 that says when to come back, in the envelope."""
    with pytest.raises(openai.InternalServerError) as refusal:
        work()
    error = refusal.value
    assert error.status_code == 503
    assert error.type == "service_unavailable_error"
    assert error.request_id.startswith("req_")
    assert int(error.response.headers["retry-after"]) >= 1
    return error


def test_without_the_router_the_last_known_replicas_serve(suite: Suite, desk: Desk) -> None:
    desk.ask()
    with suite.without("router"):
        desk.ask()
    desk.ask()


@pytest.mark.parametrize("name", ["ratelimit", "valkey"])
def test_without_the_meters_requests_are_served_by_the_gateways_own(
    suite: Suite, sdk: dict[str, Any], desk: Desk, model: str, name: str
) -> None:
    with suite.without(name), OpenAI(**sdk) as client:
        desk.ask()
        raw = client.chat.completions.with_raw_response.create(model=model, messages=CAPITAL, max_tokens=1)
        limit, remaining = (int(raw.headers[f"x-ratelimit-{word}-requests"]) for word in ("limit", "remaining"))
        assert 0 <= remaining < limit
    until(desk.is_served)


def test_without_auth_a_known_key_is_served_and_an_unknown_one_is_a_503(suite: Suite, desk: Desk) -> None:
    with suite.without("auth"):
        desk.ask()
        unknown = keys.mint("proj", secrets.token_bytes)
        assert refused(lambda: desk.ask(api_key=unknown)).code == "auth_unavailable"
    until(lambda: _is_unknown(desk, unknown))
    desk.ask()


@pytest.mark.parametrize("name", ["moderation", "jobs"])
def test_without_a_service_that_no_request_needs_all_are_served(suite: Suite, desk: Desk, name: str) -> None:
    with suite.without(name):
        desk.ask()
    desk.ask()


def test_without_jobs_a_response_is_served_and_says_that_it_is_not_kept(
    suite: Suite, sdk: dict[str, Any], model: str
) -> None:
    with OpenAI(**sdk) as client, suite.without("jobs"):
        response = client.responses.create(model=model, input="What is the capital of France?", temperature=0)
        assert "Paris" in response.output_text
        assert response.to_dict()["store"] is False
        assert refused(lambda: client.responses.retrieve(response.id)).code == "jobs_unavailable"
    with OpenAI(**sdk) as client:
        until(lambda: _goes_well(lambda: client.responses.create(model=model, input="x", max_output_tokens=16)))
        until(lambda: client.responses.create(model=model, input="x", max_output_tokens=16).to_dict()["store"] is True)


@pytest.mark.parametrize("name", ["billing", "postgres"])
def test_without_the_books_all_are_served_and_billed_later(suite: Suite, desk: Desk, name: str) -> None:
    with suite.without(name):
        if name == "postgres":  # first of all: it is soon back
            unknown = keys.mint("proj", secrets.token_bytes)
            assert refused(lambda: desk.ask(api_key=unknown)).code == "auth_unavailable"
        served = [desk.ask() for _ in range(3)]
    until(lambda: suite.billed(served) == dict.fromkeys(served, "ok"))
    done = suite.verify_books()
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_the_chat_model_it_is_a_503_and_a_stream_under_way_ends_in_an_error(
    suite: Suite, client: OpenAI, model: str, desk: Desk
) -> None:
    stream = client.chat.completions.create(**endless(model, stream=True))
    next(stream)
    with suite.without(CHAT):
        with pytest.raises(openai.APIError) as failure:  # and never a quiet end, as if it were whole
            for _ in stream:
                pass
        assert failure.value.message
        # Whether the router or the replica's silence told first.
        assert refused(desk.ask).code in ("server_is_overloaded", "inference_unavailable")
        desk.embed()
    until(desk.is_served)


def test_without_the_embedding_model_it_is_a_503_and_chat_is_served(suite: Suite, desk: Desk) -> None:
    with suite.without(EMBEDDINGS):
        assert refused(desk.embed).code == "server_is_overloaded"
        desk.ask()
    until(lambda: EMBEDDING_NAME in desk.models())
    until(lambda: _goes_well(desk.embed))


def test_without_the_gateway_nothing_listens_and_what_was_used_is_billed_afterwards(suite: Suite, desk: Desk) -> None:
    served = [desk.ask() for _ in range(3)]
    with suite.without("gateway"), pytest.raises(openai.APIConnectionError):
        desk.ask()
    until(desk.is_served)
    until(lambda: suite.billed(served) == dict.fromkeys(served, "ok"))


async def test_jobs_comes_back_with_what_it_was_told(suite: Suite) -> None:
    tenant = jobs_pb2.Tenant(organization_id="org-away", project_id="proj_away")
    file = {"tenant": tenant, "file_id": "file-away"}
    async with connect(suite.stack.address("jobs")) as channel:
        stub = jobs_pb2_grpc.JobsServiceStub(channel)
        told = jobs_pb2.RegisterFileRequest(**file, filename="a", purpose=jobs_pb2.FILE_PURPOSE_BATCH)
        await call(stub.RegisterFile, told, timeout_s=5, peer="jobs")
        with suite.without("jobs"):
            pass
        found = await stub.GetFile(jobs_pb2.GetFileRequest(**file), timeout=PATIENCE_S, wait_for_ready=True)
        assert found.file.filename == "a"
        await call(stub.DeleteFile, jobs_pb2.DeleteFileRequest(**file), timeout_s=5, peer="jobs")


def _is_unknown(desk: Desk, key: str) -> bool:
    """Whether it is known by now that nobody has this key."""
    try:
        desk.ask(api_key=key)
    except openai.AuthenticationError:
        return True
    except openai.InternalServerError:
        return False
    raise AssertionError("a key that nobody has was served")


def _goes_well(work: Callable[[], object]) -> bool:
    try:
        work()
    except openai.APIError:
        return False
    return True
