"""ModerationService over a socket, with the real model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from capstan.moderation.v1 import moderation_pb2, moderation_pb2_grpc
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import call, connect
from chassis.testing import Running, running
from services.moderation.app import build
from services.moderation.categories import Category
from services.moderation.settings import Settings

CATEGORY = moderation_pb2.Category
THREAT = "I will find you and kill you."
INNOCENT = "What is the capital of France?"
PAGE = "The ferry leaves the harbour at nine and reaches the island before noon. " * 100


class Client:
    """Asks the service and reads its metrics."""

    def __init__(self, stub: moderation_pb2_grpc.ModerationServiceStub, service: Running) -> None:
        self._stub = stub
        self.service = service

    async def classify(self, *items: list[str]) -> moderation_pb2.ClassifyResponse:
        request = moderation_pb2.ClassifyRequest(items=[moderation_pb2.ClassifyItem(texts=texts) for texts in items])
        answer: moderation_pb2.ClassifyResponse = await call(
            self._stub.Classify, request, timeout_s=60, peer="moderation"
        )
        return answer

    def metric(self, name: str, **labels: str) -> float:
        return self.service.kit.registry.get_sample_value(name, labels) or 0.0

    def waiting_tokens(self) -> float:
        return self.metric("capstan_moderation_waiting_tokens")

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0)


async def serve(**settings: Any) -> AsyncIterator[Client]:
    async with running("moderation", build, Settings(**settings)) as service, connect(service.address) as channel:
        yield Client(moderation_pb2_grpc.ModerationServiceStub(channel), service)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async for one in serve():
        yield one


@pytest.fixture
async def small() -> AsyncIterator[Client]:
    async for one in serve(max_item_bytes=100, max_call_bytes=150):
        yield one


@pytest.fixture
async def narrow() -> AsyncIterator[Client]:
    async for one in serve(waiting_tokens=1, batch_tokens=16):
        yield one


@pytest.fixture
async def lenient() -> AsyncIterator[Client]:
    async for one in serve(thresholds={Category.VIOLENCE: 1.1}):
        yield one


def flagged(verdict: moderation_pb2.Verdict) -> set[str]:
    return {CATEGORY.Name(score.category) for score in verdict.scores if score.flagged}


async def test_each_item_has_a_verdict_of_its_own_in_order(client: Client) -> None:
    answer = await client.classify([INNOCENT], [THREAT], [INNOCENT])
    assert [verdict.flagged for verdict in answer.verdicts] == [False, True, False]
    assert flagged(answer.verdicts[1]) >= {"CATEGORY_VIOLENCE", "CATEGORY_HARASSMENT_THREATENING"}
    assert answer.classifier == "capstan-moderation-1"


async def test_a_verdict_has_every_category_once_in_the_order_of_the_enum(client: Client) -> None:
    for verdict in (await client.classify([THREAT], [INNOCENT], [])).verdicts:
        assert [score.category for score in verdict.scores] == sorted(CATEGORY.values())[1:]
        assert all(0 <= score.score <= 1 for score in verdict.scores)


async def test_the_texts_of_an_item_are_judged_together(client: Client) -> None:
    answer = await client.classify([INNOCENT, THREAT], [INNOCENT, INNOCENT])
    assert [verdict.flagged for verdict in answer.verdicts] == [True, False]


@pytest.mark.parametrize("texts", [[], [""], ["", " \n "]])
async def test_nothing_is_never_flagged(client: Client, texts: list[str]) -> None:
    (verdict,) = (await client.classify(texts)).verdicts
    assert not verdict.flagged
    assert {score.score for score in verdict.scores} == {0.0}


async def test_the_same_text_is_judged_the_same_alone_and_among_others(client: Client) -> None:
    alone = (await client.classify([THREAT])).verdicts[0]
    answers = await asyncio.gather(*(client.classify([THREAT], [f"Sentence number {n}."]) for n in range(20)))
    for answer in answers:
        among = [score.score for score in answer.verdicts[0].scores]
        assert among == pytest.approx([score.score for score in alone.scores], abs=1e-4)


async def test_calls_that_come_together_share_batches(client: Client) -> None:
    await asyncio.gather(*(client.classify([f"Sentence number {n}."]) for n in range(40)))
    assert client.metric("capstan_moderation_batch_tokens_count") < 40
    assert client.metric("capstan_moderation_items_total", verdict="clean") == 40


async def test_a_short_text_does_not_wait_for_a_long_one(client: Client) -> None:
    long = asyncio.create_task(client.classify([PAGE]))
    await client.until(lambda: client.waiting_tokens() > 0)
    assert (await client.classify([THREAT])).verdicts[0].flagged
    assert not long.done()
    assert not (await long).verdicts[0].flagged


async def test_what_nobody_waits_for_any_more_is_not_judged(client: Client) -> None:
    gone = asyncio.create_task(client.classify([PAGE]))
    await client.until(lambda: client.waiting_tokens() > 0)
    gone.cancel()
    await client.until(lambda: client.waiting_tokens() == 0)
    assert not (await client.classify([INNOCENT])).verdicts[0].flagged
    assert client.metric("capstan_moderation_items_total", verdict="clean") == 1


async def test_flags_are_counted_by_category(client: Client) -> None:
    await client.classify([THREAT], [INNOCENT])
    assert client.metric("capstan_moderation_items_total", verdict="flagged") == 1
    assert client.metric("capstan_moderation_flags_total", category="violence") == 1
    assert client.metric("capstan_moderation_flags_total", category="sexual") == 0


@pytest.mark.parametrize("count", [0, 2049])
async def test_a_call_with_too_few_or_too_many_items_is_refused(client: Client, count: int) -> None:
    with pytest.raises(CapstanError) as refusal:
        await client.classify(*[["a"]] * count)
    assert (refusal.value.reason, refusal.value.metadata) == (Reason.INVALID_ARGUMENT, {"param": "items"})


async def test_an_item_larger_than_the_limit_is_named(small: Client) -> None:
    with pytest.raises(CapstanError) as refusal:
        await small.classify(["a"], ["b" * 60, "b" * 60])
    assert (refusal.value.reason, refusal.value.metadata) == (Reason.INVALID_ARGUMENT, {"param": "items[1]"})


async def test_a_call_larger_than_the_limit_is_refused(small: Client) -> None:
    with pytest.raises(CapstanError) as refusal:
        await small.classify(["a" * 80], ["b" * 80])
    assert (refusal.value.reason, refusal.value.metadata) == (Reason.INVALID_ARGUMENT, {"param": "items"})


async def test_a_call_that_would_wait_for_too_much_is_refused(narrow: Client) -> None:
    long = asyncio.create_task(narrow.classify([PAGE[:2000]]))
    await narrow.until(lambda: narrow.waiting_tokens() > 0)
    with pytest.raises(CapstanError) as refusal:
        await narrow.classify([THREAT])
    assert refusal.value.reason is Reason.OVERLOADED
    assert refusal.value.metadata["retry_after_ms"] == "1000"
    await long


async def test_a_category_can_be_told_to_be_lenient(lenient: Client) -> None:
    (verdict,) = (await lenient.classify([THREAT])).verdicts
    assert "CATEGORY_VIOLENCE" not in flagged(verdict)
    assert "CATEGORY_HARASSMENT_THREATENING" in flagged(verdict)


async def test_a_service_without_its_model_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        async with running("moderation", build, Settings(model=tmp_path)):
            pass
