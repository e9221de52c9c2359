"""A service with a gateway's session for tests that need no other, and a word about what engines leave behind."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator

import pytest

from capstan.inference.v1 import inference_pb2_grpc
from tests.integration.inference.service_client import Gateway, service, stub_of


def pytest_sessionfinish() -> None:
    """vLLM leaves a ZeroMQ context open when its engine process is killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
async def stub() -> AsyncIterator[inference_pb2_grpc.InferenceServiceStub]:
    async with service() as it, stub_of(it) as it_stub:
        yield it_stub


@pytest.fixture
async def gateway(stub: inference_pb2_grpc.InferenceServiceStub) -> AsyncIterator[Gateway]:
    gateway = await Gateway(stub).open()
    yield gateway
    gateway.call.cancel()
