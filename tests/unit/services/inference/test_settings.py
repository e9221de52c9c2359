"""What the service can be told, and what the simulator obeys."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from services.inference.app import simulator
from services.inference.engine_sim import SimEngine, SimOptions
from services.inference.settings import Settings
from services.inference.sim_control import obey


def test_a_real_engine_needs_a_model() -> None:
    with pytest.raises(ValidationError, match="`model` is required"):
        Settings(model_name="m")
    assert Settings(model_name="m", model="/m").engine == "vllm"


def test_the_controls_address_is_a_socket() -> None:
    with pytest.raises(ValidationError, match="sim_control"):
        Settings(model_name="m", engine="simulator", sim_control="127.0.0.1:1")


def test_the_simulator_has_defaults_of_its_own() -> None:
    engine = simulator(Settings(model_name="m", engine="simulator"))
    assert (engine.pace.max_running, engine.model.max_model_tokens, engine.model.embeds) == (64, 8192, False)
    vectors = simulator(Settings(model_name="m", engine="simulator", runner="pooling", max_running=3))
    assert (vectors.pace.max_running, vectors.model.embedding_dimensions) == (3, 384)


def say(engine: SimEngine, **words: object) -> dict[str, object]:
    return obey(engine, json.dumps(words).encode())


def test_knobs_turn_while_it_runs() -> None:
    engine = SimEngine(SimOptions())
    told = say(engine, command="set", tokens_per_s=200, max_running=3, slowness=10)
    assert told == say(engine, command="state")
    assert (engine.pace.tokens_per_s, engine.pace.max_running, engine.pace.slowness) == (200, 3, 10)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"7",
        b"{}",
        b'{"command": "dance"}',
        b'{"command": "poison"}',
        b'{"command": "set", "speed": 1}',
        b'{"command": "set", "max_running": 0}',
        b'{"command": "set", "slowness": -1}',
        b'{"command": "set", "ttft_s": "x"}',
    ],
)
def test_nonsense_is_answered_and_changes_nothing(line: bytes) -> None:
    engine = SimEngine(SimOptions())
    before = engine.pace
    assert "error" in obey(engine, line)
    assert engine.pace == before


async def test_a_killed_simulator_takes_its_process_along() -> None:
    deaths: list[int] = []
    engine = SimEngine(SimOptions(), kill=lambda: deaths.append(1))
    await engine.start()
    say(engine, command="kill")
    assert deaths == [1]
