"""Readiness: all named conditions, and whoever listens is told once per change."""

from chassis.readiness import Readiness


def test_a_service_without_conditions_is_not_ready() -> None:
    assert not Readiness().ready


def test_it_is_ready_when_all_conditions_hold_and_says_what_is_missing_before() -> None:
    readiness = Readiness()
    model, journal = readiness.condition("model"), readiness.condition("journal")
    model.set(False, "loading weights")
    journal.set(True)
    assert readiness.report() == {"model": "loading weights"}
    model.set(True)
    assert readiness.ready
    assert readiness.report() == {}


def test_listeners_hear_each_change_once() -> None:
    readiness = Readiness()
    heard: list[bool] = []
    readiness.listen(heard.append)
    started = readiness.condition("started")
    draining = readiness.condition("not draining", ready=True)
    started.set(True)
    started.set(True)
    draining.set(False)
    assert heard == [False, True, False]


def test_asking_for_a_condition_again_answers_the_same_one() -> None:
    readiness = Readiness()
    readiness.condition("x").set(True)
    assert readiness.condition("x").ready
