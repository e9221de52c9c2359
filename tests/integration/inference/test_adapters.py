"""Adapters on vLLM: loaded while it runs, never mixed up, and never the death of the engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from services.inference.adapter_shelf import AdapterShelf, Brought
from services.inference.engine import Engine
from services.inference.errors import (
    AdapterConflictError,
    AdapterRejectedError,
    AdaptersFullError,
    EngineDeadError,
    InvalidRequestError,
    UnknownAdapterError,
)
from services.inference.request import GenerationRequest, Sampling
from tests.integration.inference.engines import (
    Ear,
    chat,
    collect,
    needs_vllm,
    started,
    text_of,
    third_party_warnings,
    vllm_chat,
    write_adapter,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), third_party_warnings, needs_vllm]

GREEDY = Sampling(max_tokens=10, temperature=0, ignore_eos=True)
ENDLESS = Sampling(max_tokens=900, ignore_eos=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[Engine]:
    async with started(vllm_chat(max_adapters=2)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def two_adapters(engine: Engine, tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    for number, name in enumerate(("red", "blue"), start=1):
        await engine.load_adapter(name, write_adapter(tmp_path / name, seed=number))
    yield "red", "blue"
    for name in ("red", "blue"):
        await engine.unload_adapter(name)


async def answer(engine: Engine, adapter: str = "", name: str = "req_1", salt: str = "") -> str:
    request = GenerationRequest(name, chat(engine, "What is the capital of France?"), GREEDY)
    request = GenerationRequest(name, request.prompt, GREEDY, adapter=adapter, cache_salt=salt)
    return text_of(await collect(engine, request))


async def test_base_and_adapter_requests_in_one_batch_do_not_mix(engine: Engine, two_adapters: tuple[str, str]) -> None:
    """vLLM 0.32 on CPU gives the base model's rows the last slot's weights, if that slot holds any."""
    alone = {adapter: await answer(engine, adapter) for adapter in ("", *two_adapters)}
    assert len(set(alone.values())) == 3
    for round_ in range(3):
        order = ["", "red", "", "blue", "", "red", "blue", ""]
        together = await asyncio.gather(
            *(answer(engine, adapter, f"req_{round_}_{place}") for place, adapter in enumerate(order))
        )
        assert together == [alone[adapter] for adapter in order]


async def test_the_same_again_does_nothing(engine: Engine, two_adapters: tuple[str, str], tmp_path: Path) -> None:
    await engine.load_adapter("red", str(tmp_path / "red"))
    assert engine.adapters == ("blue", "red")


async def test_a_name_is_not_given_twice(engine: Engine, two_adapters: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(AdapterConflictError):
        await engine.load_adapter("red", str(tmp_path / "blue"))


async def test_there_are_only_so_many_slots(engine: Engine, two_adapters: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(AdaptersFullError):
        await engine.load_adapter("green", write_adapter(tmp_path / "green", seed=3))
    assert engine.adapters == ("blue", "red")


async def test_a_retrained_adapter_under_an_old_name_is_the_new_one(engine: Engine, tmp_path: Path) -> None:
    answers = []
    for seed in (11, 12):
        await engine.load_adapter("mine", write_adapter(tmp_path / str(seed), seed=seed))
        answers.append(await answer(engine, "mine", salt="one tenant"))
        await engine.unload_adapter("mine")
    assert answers[0] != answers[1]
    assert await answer(engine, salt="one tenant") not in answers


async def test_a_request_whose_adapter_is_taken_away_is_told_so(engine: Engine, two_adapters: tuple[str, str]) -> None:
    ear = Ear()
    engine.submit(GenerationRequest("req_endless", chat(engine, "Hello"), ENDLESS, adapter="red"), ear)
    await asyncio.wait_for(ear.heard.wait(), 30)
    await engine.unload_adapter("red")
    assert isinstance(ear.error, UnknownAdapterError)
    with pytest.raises(UnknownAdapterError):
        await answer(engine, "red")
    assert await answer(engine, "blue")


async def test_unreadable_files_are_refused_and_the_engine_lives(engine: Engine, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    pickled = Path(write_adapter(tmp_path / "pickled", seed=1))
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    broken = Path(write_adapter(tmp_path / "broken", seed=1))
    (broken / "adapter_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0not json")
    rich = write_adapter(tmp_path / "rich", seed=1, rank=64)
    narrow = write_adapter(tmp_path / "narrow", seed=1, width=128)
    for path in (missing, pickled, broken, rich, narrow):
        with pytest.raises(AdapterRejectedError):
            await engine.load_adapter("bad", str(path))
    assert engine.adapters == ()
    engine.check()
    assert "Paris" in await answer(engine)


async def test_a_prompts_log_probabilities_are_refused_since_they_would_kill_the_engine(engine: Engine) -> None:
    asking = Sampling(max_tokens=2, prompt_logprobs=1)
    with pytest.raises(InvalidRequestError):
        await collect(engine, GenerationRequest("req_echo", chat(engine, "Hello"), asking))


async def test_what_requests_bring_along_takes_turns_and_broken_files_cost_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    shelf = AdapterShelf(engine, logging.getLogger("test"))
    brought = [Brought(name, write_adapter(tmp_path / name, seed=seed)) for seed, name in enumerate("abc", start=1)]
    said = []
    for adapter in [*brought, *brought]:
        await shelf.load(adapter)
        said.append(await answer(engine, adapter.name))
    assert said[:3] == said[3:]
    assert len(set(said)) == 3
    assert engine.adapters == ("b", "c")
    with pytest.raises(UnknownAdapterError):
        await shelf.load(Brought("broken", str(tmp_path / "missing")))
    assert "Paris" in await answer(engine)
    for name in engine.adapters:
        await engine.unload_adapter(name)


async def test_a_dead_engine_says_so_at_once(engine: Engine) -> None:
    """Last in this file: it kills the engine that the tests above share."""
    ear = Ear()
    engine.submit(GenerationRequest("req_endless", chat(engine, "Hello"), ENDLESS), ear)
    await asyncio.wait_for(ear.heard.wait(), 30)
    # Its own: the suite that other tests run has engines among the descendants of this process as well.
    [core] = [child for child in psutil.Process().children() if "EngineCore" in child.name()]
    core.kill()
    await asyncio.wait_for(ear.ended.wait(), 10)
    assert isinstance(ear.error, EngineDeadError)
    with pytest.raises(EngineDeadError):
        engine.check()
    with pytest.raises(EngineDeadError):
        await answer(engine)
