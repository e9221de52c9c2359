"""The official SDK against the whole suite: real engine, real stores, one suite for all tests of the session."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.contract.suite import Suite
from tests.contract.told import TellingTransport
from tests.stack import Stack

DISRUPTIVE = "disruptive"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{DISRUPTIVE}: hurts the shared suite and waits until it is well again; runs last"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what hurts the shared suite last, so that nothing else waits for its recovery."""
    items.sort(key=lambda item: item.get_closest_marker(DISRUPTIVE) is not None)


@pytest.fixture(scope="session")
def suite(stack: Stack) -> Iterator[Suite]:
    """The suite, whose books are sound when all tests have used and hurt it."""
    made = Suite(stack)
    yield made
    made.sound_books()


@pytest.fixture(scope="session")
def sdk(suite: Suite) -> dict[str, Any]:
    """How to make a client; it never repeats a request, so that what a test sees is what was answered."""
    return {"base_url": suite.stack.base_url, "api_key": suite.stack.api_key, "max_retries": 0, "timeout": 60.0}


@pytest.fixture(scope="session")
def client(suite: Suite, sdk: dict[str, Any]) -> Iterator[OpenAI]:
    with OpenAI(**sdk, http_client=httpx.Client(transport=TellingTransport(suite.told))) as made:
        yield made


@pytest.fixture(scope="session")
def strict(suite: Suite, sdk: dict[str, Any]) -> Iterator[OpenAI]:
    """A client that refuses answers whose types are not those of the SDK."""
    telling = httpx.Client(transport=TellingTransport(suite.told))
    with OpenAI(**sdk, http_client=telling, _strict_response_validation=True) as made:
        yield made


@pytest.fixture(scope="session")
def model(suite: Suite) -> str:
    """The chat model's name."""
    return suite.stack.model
