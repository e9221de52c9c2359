"""What is owed for an answer, by whoever counted it: the engine where it told of all, else what was delivered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from capstan.errors.v1 import errors_pb2
from capstan.inference.v1 import inference_pb2
from capstan.usage.v1 import usage_pb2
from chassis.errors import unavailable
from services.gateway import generation
from services.gateway.deltas import Usage
from services.gateway.generation import Generation
from services.gateway.peers.inbox import BEGUN, Inbox, Patience
from services.gateway.refusals import REFUSALS
from services.inference import failures

PATIENCE = Patience(first_token_s=60, idle_s=30, request_s=600, buffer_bytes=1000)
ESTIMATED = 50
"""Prompt tokens of the request, as the gateway takes them to be."""


class Nowhere:
    def __init__(self, *, begun: bool) -> None:
        self.begun = begun

    def abort(self, slot: int) -> None: ...


class Scene:
    """A generation whose present attempt has so many slots, and a replica that is played by hand."""

    def __init__(self, slots: int = 1, *, started: bool = True, heard: bool = True) -> None:
        self.inbox = Inbox(PATIENCE, 0.0)
        for slot in range(slots):
            self.inbox.attach(slot, Nowhere(begun=heard))
        attempts = SimpleNamespace(inbox=self.inbox, started=started, resumable=False, first=lambda: self.inbox.take(0))
        grant = SimpleNamespace(work=SimpleNamespace(prompt_tokens=ESTIMATED))
        self.generation = Generation(cast("Any", grant), cast("Any", attempts))

    def says(self, slot: int, **fields: Any) -> None:
        self.inbox.deliver(slot, slot, inference_pb2.Delta(slot=slot, **fields))

    def ends(self, slot: int, prompt: int, completion: int) -> None:
        usage = usage_pb2.TokenUsage(prompt_tokens=prompt, completion_tokens=completion)
        self.says(slot, finish_reason=1, finish=inference_pb2.Finish(usage=usage))

    async def delivers(self) -> None:
        """Hand out what has arrived."""
        await self.generation.begin()
        await anext(aiter(self.generation.batches()))


def failure(reason: errors_pb2.ErrorReason.ValueType) -> errors_pb2.Failure:
    return errors_pb2.Failure(reason=reason)


async def test_while_no_replica_was_asked_nothing_is_owed() -> None:
    assert await Scene(0, started=False).generation.late_usage() == (Usage(), True)


@pytest.mark.parametrize("completion", [0, 1])
async def test_what_is_left_before_its_first_token_is_owed_as_the_engine_counted_it(completion: int) -> None:
    scene = Scene()
    scene.ends(0, 7, completion)
    assert await scene.generation.late_usage() == (Usage(prompt_tokens=7, completion_tokens=completion), True)


async def test_what_the_engine_had_not_taken_in_is_free_since_it_says_so() -> None:
    scene = Scene()
    scene.ends(0, 0, 0)
    assert await scene.generation.late_usage() == (Usage(), True)


async def test_the_prompt_of_whoever_leaves_a_replica_that_dies_is_owed_by_estimate() -> None:
    scene = Scene()
    died = unavailable("inference")
    died.metadata[BEGUN] = "true"
    scene.inbox.lost(0, died)
    assert await scene.generation.late_usage() == (Usage(prompt_tokens=ESTIMATED), False)


@pytest.mark.parametrize("heard", [True, False])
async def test_whoever_leaves_a_replica_that_says_nothing_owes_the_prompt_only_if_it_was_ever_reached(
    heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "ABORT_ANSWER_S", 0.01)
    owed = await Scene(heard=heard).generation.late_usage()
    assert owed == ((Usage(prompt_tokens=ESTIMATED), False) if heard else (Usage(), True))


async def test_where_nobody_listens_nothing_is_owed() -> None:
    scene = Scene(heard=False)
    scene.inbox.lost(0, unavailable("inference"))
    assert await scene.generation.late_usage() == (Usage(), True)


async def test_one_prompts_count_does_not_stand_for_another_that_ended_without_a_word() -> None:
    scene = Scene(2)
    scene.says(0, text="done", token_count=3)
    scene.says(1, text="half", token_count=5)
    await scene.delivers()
    scene.ends(0, 7, 3)
    scene.says(1, failure=failure(errors_pb2.ERROR_REASON_DEADLINE_EXCEEDED))
    assert await scene.generation.late_usage() == (Usage(prompt_tokens=ESTIMATED, completion_tokens=8), False)
    assert not scene.generation.counted


async def test_what_ran_out_of_time_is_owed_by_the_count_that_comes_with_its_failure() -> None:
    scene = Scene(2)
    scene.ends(0, 7, 3)
    usage = usage_pb2.TokenUsage(prompt_tokens=9, completion_tokens=5)
    late = failure(errors_pb2.ERROR_REASON_DEADLINE_EXCEEDED)
    scene.says(1, failure=late, finish=inference_pb2.Finish(usage=usage))
    assert await scene.generation.late_usage() == (Usage(prompt_tokens=16, completion_tokens=8), True)


async def test_of_several_prompts_the_one_that_was_refused_has_used_nothing() -> None:
    scene = Scene(2)
    scene.says(1, failure=failure(errors_pb2.ERROR_REASON_PARAMETER_REFUSED))
    assert not scene.inbox.untouched  # of the other one it is not known yet
    scene.ends(0, 5, 0)
    assert not scene.inbox.untouched
    assert await scene.generation.late_usage() == (Usage(prompt_tokens=5), True)


def test_what_a_replica_tells_billing_nothing_of_is_a_refusal_to_gateways_too() -> None:
    assert failures.REFUSALS <= REFUSALS


@pytest.mark.parametrize(
    ("reason", "untouched"),
    [(errors_pb2.ERROR_REASON_OVERLOADED, True), (errors_pb2.ERROR_REASON_ENGINE_FAILED, False)],
)
async def test_only_what_was_refused_is_as_if_no_engine_had_heard_of_it(
    reason: errors_pb2.ErrorReason.ValueType, untouched: bool
) -> None:
    scene = Scene()
    scene.says(0, failure=failure(reason))
    assert scene.inbox.untouched is untouched
    assert ((await scene.generation.late_usage()) == (Usage(), True)) is untouched
