"""Health is progress: a hung engine stops accepting, and is dead after a while."""

from __future__ import annotations

import pytest

from chassis.readiness import Readiness
from services.inference.engine import EngineLoad
from services.inference.engine_sim import SimEngine, SimOptions
from services.inference.errors import EngineDeadError
from services.inference.health import Health
from services.inference.progress import Progress


class Stalled(SimEngine):
    """An engine that says how long it has hung."""

    stalled_s: float | None = None

    def load(self) -> EngineLoad:
        return EngineLoad(running=1, waiting=2, max_running=8, kv_usage=0.5, stalled_s=self.stalled_s)


@pytest.fixture
def engine() -> Stalled:
    return Stalled(SimOptions())


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def health(engine: Stalled, readiness: Readiness) -> Health:
    condition = readiness.condition("making progress", ready=True)
    return Health(engine, condition, lambda: False, stall_s=60, stall_exit_s=300)


def test_a_hung_engine_stops_accepting_until_it_steps_again(
    engine: Stalled, health: Health, readiness: Readiness
) -> None:
    for stalled_s, ready in [(None, True), (59, True), (61, False), (100, False), (0, True)]:
        engine.stalled_s = stalled_s
        health.look()
        assert readiness.ready is ready
        assert health.load().accepting is ready
    engine.stalled_s = 61
    health.look()
    assert readiness.report() == {"making progress": "no step for 61 s"}


def test_an_engine_that_hangs_for_good_is_dead(engine: Stalled, health: Health) -> None:
    engine.stalled_s = 301
    with pytest.raises(EngineDeadError):
        health.look()


def test_a_dead_engine_is_noticed(engine: Stalled, health: Health) -> None:
    engine.fail()
    with pytest.raises(EngineDeadError):
        health.look()


def test_a_draining_replica_does_not_accept(engine: Stalled, readiness: Readiness) -> None:
    health = Health(
        engine, readiness.condition("making progress", ready=True), lambda: True, stall_s=60, stall_exit_s=300
    )
    assert not health.load().accepting


def test_the_load_is_passed_on(engine: Stalled, health: Health) -> None:
    engine.stalled_s = 1.5
    load = health.load()
    assert (load.running_count, load.waiting_count, load.max_running_count, load.kv_usage) == (1, 2, 8, 0.5)
    assert load.stalled_for.ToMilliseconds() == 1500


def test_progress_counts_from_the_arrival_of_work() -> None:
    progress = Progress()
    progress.stepped(1)
    assert progress.stalled_s(100) is None
    progress.began(100)
    assert progress.stalled_s(103) == 3
    progress.began(102)
    assert progress.stalled_s(103) == 3
    progress.stepped(104)
    assert progress.stalled_s(105) == 1
    progress.ended()
    assert progress.stalled_s(200) is None
