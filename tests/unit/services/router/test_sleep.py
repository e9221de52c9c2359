"""When a model is woken and when it falls asleep, as each router decides for itself."""

from typing import Any

import pytest

from services.router.adapters import Adapter
from services.router.placement import Request
from services.router.replicas import Kind
from services.router.sleep import MISSED_S, Missed, Scale, count_asleep, count_awake, is_to_sleep, is_to_wake
from tests.unit.services.router.pools import Pool

IDLE_S = 900.0


def pool(count: int = 2, **told: Any) -> Pool:
    made = Pool(count)
    made.report_all(**({"idle_s": 1000.0} | told))
    return made


def sleeps(pool: Pool, *, wanted: bool = False) -> bool:
    return is_to_sleep(wanted, pool.replicas.serving("chat"), pool.now, idle_s=IDLE_S, stale_after_s=5.0)


def wakes(pool: Pool, *, wanted: bool = True) -> bool:
    return is_to_wake(wanted, pool.replicas.serving("chat"))


def test_a_model_that_nobody_has_used_for_long_falls_asleep() -> None:
    assert sleeps(pool())


@pytest.mark.parametrize(
    "told",
    [
        {"idle_s": 899.0},
        {"idle_s": None},  # an older replica, which does not tell
        {"running_count": 1},
        {"waiting_count": 1},
        {"accepting": False},  # it leaves, or hangs: somebody else is changing something
    ],
)
def test_one_replica_that_is_or_may_be_used_keeps_it_awake(told: dict[str, Any]) -> None:
    used = pool()
    used.report("r1", **({"idle_s": 1000.0} | told))
    assert not sleeps(used)


def test_who_waits_keeps_it_awake() -> None:
    assert not sleeps(pool(), wanted=True)


def test_a_request_that_was_just_placed_keeps_it_awake_before_its_replica_tells() -> None:
    placed = pool()
    placed.place("req_1")
    assert not sleeps(placed)


def test_a_replica_that_is_silent_or_not_heard_keeps_it_awake() -> None:
    silent = pool()
    silent.now += 5.1
    silent.report("r0", idle_s=1000.0)
    assert not sleeps(silent)
    lost = pool()
    lost.replica("r1").lost()
    assert not sleeps(lost)


def test_a_model_without_a_known_replica_is_loading_and_is_left_alone() -> None:
    assert not sleeps(pool(0))


def test_it_is_put_to_sleep_only_when_its_known_replicas_are_all_there_are() -> None:
    assert count_asleep(Scale(2, 2, "7"), known_count=2) == 0
    assert count_asleep(Scale(2, 3, "7"), known_count=2) is None  # one is leaving, or not discovered yet
    assert count_asleep(Scale(3, 2, "7"), known_count=2) is None  # one is coming
    assert count_asleep(Scale(0, 1, "7"), known_count=1) is None  # another router was first


def test_whoever_waits_for_a_model_without_a_replica_wakes_it_once() -> None:
    assert wakes(pool(0))
    assert not wakes(pool(0), wanted=False)
    assert count_awake(Scale(0, 0, "7")) == 1
    assert count_awake(Scale(1, 0, "7")) is None  # it is loading
    assert count_awake(Scale(3, 2, "7")) is None  # its autoscaler is at work


def test_what_waits_for_room_at_a_replica_that_is_there_wakes_nothing() -> None:
    assert not wakes(pool(1, running_count=99))


def test_replicas_that_are_leaving_do_not_keep_a_model_asleep() -> None:
    assert wakes(pool(1, accepting=False))


def test_a_request_that_nobody_or_a_stand_in_served_is_demand_for_a_moment() -> None:
    asked, missed = pool(1), Missed(pool(1).placements)
    request = Request("req_1", "chat", Kind.GENERATE, 10)
    missed.note(request, 100.0, served="chat")
    assert not missed.lately("chat", 100.0)
    for served in (None, "small"):
        missed.note(request, asked.now, served)
        assert missed.lately("chat", asked.now + MISSED_S)
        assert not missed.lately("chat", asked.now + MISSED_S + 0.1)
        assert not missed.lately("small", asked.now)


def test_a_request_for_an_adapter_is_demand_for_the_model_that_it_adapts() -> None:
    adapted = Pool(1, adapters=(Adapter("ft:chat:poet", "/adapters/poet"),))
    missed, request = Missed(adapted.placements), Request("req_1", "ft:chat:poet", Kind.GENERATE, 10)
    missed.note(request, 100.0, served="chat")
    assert not missed.lately("chat", 100.0)
    missed.note(request, 100.0)
    assert missed.lately("chat", 100.0)
