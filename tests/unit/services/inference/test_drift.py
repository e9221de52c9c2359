"""Tokens that the engine made and no answer counted raise an alarm, once, and only when they are more than a few."""

import logging
from dataclasses import dataclass

import pytest

from services.inference.answer import Tally
from services.inference.drift import CounterDrift
from services.inference.engine import EngineLoad

LOG = logging.getLogger("test")


@dataclass
class Replica:
    generated: int = 0
    running_tokens: int = 0
    sequences: int = 0

    def drift(self) -> CounterDrift:
        return CounterDrift(self.load, lambda: self.running_tokens, LOG)

    def load(self) -> EngineLoad:
        return EngineLoad(self.sequences, 0, 64, 0.0, generated_tokens=self.generated)


def alarms(caplog: pytest.LogCaptureFixture) -> int:
    return sum("disagree" in record.message for record in caplog.records)


def test_what_ended_and_what_runs_is_what_the_engine_made() -> None:
    replica = Replica(generated=1500, running_tokens=300, sequences=2)
    drift = replica.drift()
    drift.ended(Tally(completion_tokens=1200))
    assert drift.ratio() == 0


def test_what_another_replica_made_before_is_not_this_engines() -> None:
    replica = Replica(generated=200)
    drift = replica.drift()
    drift.ended(Tally(completion_tokens=250, continued_tokens=50))
    assert drift.ratio() == 0


def test_an_engine_that_has_made_nothing_has_no_drift() -> None:
    assert Replica().drift().ratio() == 0


def test_the_alarm_comes_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    replica = Replica(generated=20_000)
    drift = replica.drift()
    drift.ended(Tally(completion_tokens=19_979))
    for _ in range(3):
        drift.look()
    assert alarms(caplog) == 1
    assert drift.ratio() == pytest.approx(21 / 20_000)
    drift.ended(Tally(completion_tokens=21))
    drift.look()
    replica.generated += 100
    drift.look()
    assert alarms(caplog) == 2


@pytest.mark.parametrize(
    ("generated", "counted", "sequences"),
    [(9_999, 0, 0), (20_000, 19_980, 0), (20_000, 20_020, 0), (20_000, 19_900, 20)],
    ids=["too few to tell", "a thousandth less", "a thousandth more", "a few of each that runs"],
)
def test_a_little_is_no_alarm(caplog: pytest.LogCaptureFixture, generated: int, counted: int, sequences: int) -> None:
    drift = Replica(generated, sequences=sequences).drift()
    drift.ended(Tally(completion_tokens=counted))
    drift.look()
    assert alarms(caplog) == 0
