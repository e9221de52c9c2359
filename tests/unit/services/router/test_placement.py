"""A request goes to the least loaded replica that can take it; where it is, is known until it leaves."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import CapstanError, Reason
from services.router.replicas import Kind, Rules
from tests.unit.services.router.pools import Pool, load


def refusal(pool: Pool, request_id: str = "req_refused", **changes: object) -> CapstanError:
    with pytest.raises(CapstanError) as raised:
        pool.place(request_id, **changes)  # type: ignore[arg-type]
    return raised.value


def no_capacity(pool: Pool, **changes: object) -> int:
    """The milliseconds after which to ask again."""
    error = refusal(pool, **changes)
    assert error.reason is Reason.NO_CAPACITY
    assert error.metadata["model"] == "chat"
    return int(error.metadata["retry_after_ms"])


def test_equal_replicas_share_equally() -> None:
    pool = Pool(3)
    homes = Counter(pool.place(f"req_{number}") for number in range(24))
    assert homes == {"r0": 8, "r1": 8, "r2": 8}


def test_the_same_questions_get_the_same_answers() -> None:
    names = [f"req_{number}" for number in range(50)]
    pools = Pool(7, rules=Rules(queue_share=10)), Pool(7, rules=Rules(queue_share=10))
    assert [pools[0].place(name) for name in names] == [pools[1].place(name) for name in names]


def test_idle_replicas_take_turns_by_request_and_not_the_first_always() -> None:
    pool = Pool(4)
    homes = Counter()
    for number in range(200):
        homes[pool.place(f"req_{number}")] += 1
        pool.release(f"req_{number}")
    assert set(homes) == {"r0", "r1", "r2", "r3"}
    assert max(homes.values()) < 100


def test_tokens_weigh_and_not_only_requests() -> None:
    pool = Pool(2)
    heavy = pool.place("req_heavy", tokens=8000)
    light = {pool.place(f"req_{number}", tokens=10) for number in range(4)}
    assert light == {"r0", "r1"} - {heavy}


def test_what_the_replica_says_counts_beside_what_was_placed() -> None:
    pool = Pool(2)
    pool.report("r0", running_count=6, kv_usage=0.7)  # another router's requests
    assert {pool.place(f"req_{number}") for number in range(4)} == {"r1"}


def test_a_slow_replica_that_keeps_its_requests_gets_fewer() -> None:
    pool = Pool(3)
    homes: Counter[str] = Counter()
    running: list[tuple[int, str]] = []
    for step in range(300):
        for end, name in [entry for entry in running if entry[0] <= step]:
            pool.release(name)
            running.remove((end, name))
        home = pool.place(f"req_{step}")
        homes[home] += 1
        running.append((step + (60 if home == "r0" else 6), f"req_{step}"))
    assert homes["r0"] / 300 < 0.15


@pytest.mark.parametrize(
    "changes", [{"accepting": False}, {"stalled_s": 46.0}, {"running_count": 8, "waiting_count": 8}]
)
def test_a_replica_that_cannot_take_it_is_passed_over(changes: dict[str, object]) -> None:
    pool = Pool(2)
    pool.report("r0", **changes)
    assert {pool.place(f"req_{number}") for number in range(6)} == {"r1"}
    pool.report("r1", **changes)
    assert no_capacity(pool) == 1000


def test_a_short_stall_is_a_prefill_and_no_reason() -> None:
    pool = Pool(1)
    pool.report("r0", stalled_s=44.0)
    assert pool.place("req_1") == "r0"


def test_what_was_said_long_ago_does_not_count() -> None:
    pool = Pool(2)
    pool.now += 4.9
    pool.report("r1")
    pool.now += 0.2
    assert {pool.place(f"req_{number}") for number in range(4)} == {"r1"}
    pool.now += 5
    assert no_capacity(pool) == 1000


def test_placing_fills_a_replica_before_it_can_say_so() -> None:
    pool = Pool(1)
    for number in range(16):
        pool.place(f"req_{number}")
    assert no_capacity(pool) == 1000
    pool.release("req_0")
    assert pool.place("req_again") == "r0"


def test_a_replica_whose_watch_broke_is_the_last_resort() -> None:
    pool = Pool(2)
    pool.replica("r0").lost()
    pool.report("r1", running_count=8, waiting_count=7)
    assert pool.place("req_1") == "r1"
    assert pool.place("req_2") == "r0"
    pool.report("r0")
    assert pool.place("req_3") == "r0"


def test_when_nobody_is_heard_asking_again_soon_is_no_use() -> None:
    pool = Pool(1)
    pool.replica("r0").lost()
    pool.now += 6
    assert no_capacity(pool) == 2000


def test_an_excluded_replica_is_not_asked() -> None:
    pool = Pool(2)
    assert {pool.place(f"req_{number}", excluded=["r0"]) for number in range(5)} == {"r1"}
    assert no_capacity(pool, excluded=["r0", "r1"]) == 1000


def test_failures_shut_a_replica_out_until_a_trial_succeeds() -> None:
    pool = Pool(2)
    pool.fail("r0", 3)
    assert {pool.place(f"req_{number}") for number in range(4)} == {"r1"}
    assert no_capacity(pool, excluded=["r1"]) == 1000
    pool.pass_time(1)
    assert pool.place("req_trial") == "r0"
    assert pool.place("req_next") == "r1"  # one at a time, though r0 is idle
    pool.release("req_trial")
    assert pool.place("req_after") == "r0"


def test_what_another_router_placed_neither_prolongs_a_pause_nor_ends_it() -> None:
    pool = Pool(2)
    for _ in range(50):  # a session that broke, told by a gateway whose router is away
        pool.placements.judge("r0", went_well=False, now=pool.now)
    assert no_capacity(pool, excluded=["r1"]) == 1000
    pool.placements.judge("r0", went_well=True, now=pool.now)  # a long stream that began in better times
    assert no_capacity(pool, excluded=["r1"]) == 1000
    pool.pass_time(1)
    assert pool.place("req_trial", excluded=["r1"]) == "r0"


def test_the_hint_when_to_ask_again_is_when_the_trial_may_start() -> None:
    pool = Pool(1)
    pool.fail("r0", 3)
    pool.pass_time(0.4)
    assert no_capacity(pool) == 600


@pytest.mark.parametrize(("count", "ejected"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_at_most_half_of_a_pool_is_shut_out(count: int, ejected: int) -> None:
    pool = Pool(count)
    for number in range(count):
        pool.fail(f"r{number}", 3)
    assert sum(replica.ejection.is_open for replica in pool.replicas) == ejected


def test_pools_of_different_models_are_shut_out_apart() -> None:
    pool = Pool(2)
    pool.add("v0", "vectors", Kind.EMBED)
    pool.fail("r0", 3)
    for number in range(3):
        pool.place(f"req_{number}", "vectors", Kind.EMBED)
    for number in range(3):
        pool.release(f"req_{number}", went_well=False)
    assert [replica.id for replica in pool.replicas if replica.ejection.is_open] == ["r0", "v0"]


def test_placing_again_answers_the_same_and_counts_once() -> None:
    pool = Pool(3)
    home = pool.place("req_1")
    pool.place("req_2")
    pool.place("req_3")
    assert pool.place("req_1") == home
    assert len(pool.placements) == 3
    assert pool.replica(home).held_count == 1


def test_placing_again_with_exclusions_moves_it() -> None:
    pool = Pool(2)
    home = pool.place("req_1", tokens=50)
    other = pool.place("req_1", tokens=50, excluded=[home])
    assert other != home
    assert (pool.replica(home).held_count, pool.replica(home).held_tokens) == (0, 0)
    assert (pool.replica(other).held_count, pool.replica(other).held_tokens) == (1, 50)


def test_a_request_that_finds_no_other_home_is_nowhere() -> None:
    pool = Pool(1)
    home = pool.place("req_1")
    assert no_capacity(pool, request_id="req_1", excluded=[home]) == 1000
    assert len(pool.placements) == 0
    assert pool.replica(home).held_count == 0


def test_releasing_twice_or_unknown_ids_changes_nothing() -> None:
    pool = Pool(1)
    pool.place("req_1")
    for _ in range(2):
        pool.release("req_1")
    pool.release("req_unknown", went_well=False)
    assert pool.replica("r0").held_count == 0
    assert not pool.replica("r0").ejection.is_open


def test_what_nobody_releases_expires_and_blames_nobody() -> None:
    pool = Pool(1)
    for number in range(5):
        pool.place(f"req_{number}")
    pool.now += 600
    pool.report("r0")
    pool.place("req_young")
    pool.now += 300
    assert pool.placements.expire(pool.now) == 5
    assert len(pool.placements) == pool.replica("r0").held_count == 1
    assert pool.placements.expire(pool.now) == 0
    assert not pool.replica("r0").ejection.is_open


def test_an_unknown_model_is_not_found_and_an_absent_one_is_waited_for() -> None:
    pool = Pool(1, aliases={"gpt-4o": "chat", "o9": "later"})
    assert refusal(pool, model="nope").reason is Reason.MODEL_NOT_FOUND
    assert refusal(pool, model="o9").reason is Reason.NO_CAPACITY
    assert pool.place("req_1", "gpt-4o") == "r0"


def test_a_model_does_only_what_it_can() -> None:
    pool = Pool(1)
    error = refusal(pool, kind=Kind.EMBED)
    assert error.reason is Reason.MODEL_KIND_MISMATCH
    assert error.metadata["model"] == "chat"


def test_a_replica_that_changes_its_model_changes_its_pool() -> None:
    pool = Pool(1)
    pool.add("r0", "other")
    assert pool.place("req_1", "other") == "r0"
    assert no_capacity(pool) == 2000


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["place", "place", "place", "release", "fail", "report", "time", "lost", "expire"]),
        st.integers(0, 11),
        st.integers(0, 4),
    ),
    max_size=80,
)


def home_or_reason(pool: Pool, name: str, tokens: int, excluded: frozenset[str]) -> str | Reason:
    try:
        return pool.place(name, tokens=tokens, excluded=excluded)
    except CapstanError as error:
        return error.reason


@given(count=st.integers(1, 5), steps=STEPS)
def test_whatever_happens_the_counts_add_up(count: int, steps: list[tuple[str, int, int]]) -> None:
    pool = Pool(count)
    where: dict[str, str] = {}
    for step, number, other in steps:
        name = f"req_{number}"
        replica_id = f"r{other % count}"
        if step == "place":
            excluded = frozenset({replica_id}) if other == 4 else frozenset[str]()
            home = home_or_reason(pool, name, number, excluded)
            assert home not in excluded
            where.pop(name, None)
            if home is not Reason.NO_CAPACITY:
                assert isinstance(home, str)
                where[name] = home
        elif step in ("release", "fail"):
            pool.release(name, went_well=step == "release")
            where.pop(name, None)
        elif step == "report":
            pool.report(replica_id, running_count=number, accepting=other != 3)
        elif step == "time":
            pool.now += number / 4
        elif step == "lost":
            pool.replica(replica_id).lost()
        else:
            pool.placements.expire(pool.now)  # less than 900 s have passed
        homes = Counter(where.values())
        assert {replica.id: replica.held_count for replica in pool.replicas if replica.held_count} == homes
        assert sum(replica.held_tokens for replica in pool.replicas) == sum(int(name[4:]) for name in where)
        open_count = sum(replica.ejection.is_open for replica in pool.replicas)
        assert open_count <= max(1, count // 2)


def test_what_a_replica_does_not_run_is_not_counted_there_for_long() -> None:
    pool = Pool(1, settled_after_s=10.0)
    for number in range(5):
        pool.place(f"req_{number}")
    pool.now += 5
    pool.report("r0", running_count=5)
    pool.place("req_young")
    pool.now += 6
    pool.report("r0", running_count=2)  # the others' releases went to another router
    assert pool.placements.expire(pool.now) == 3
    assert pool.replica("r0").held_count == 3
    assert "req_young" in pool.placements


def test_a_replica_that_stalled_is_not_trusted_because_its_requests_were_given_up() -> None:
    pool = Pool(2)
    hung = pool.replica("r0")
    pool.replicas.report(hung, load(running_count=3, stalled_s=46.0, generated_tokens=70), pool.now)
    pool.now += 0.5
    pool.report("r1")
    pool.replicas.report(hung, load(generated_tokens=70), pool.now)
    assert {pool.place(f"req_{number}") for number in range(4)} == {"r1"}
    pool.now += 8
    pool.report("r1", running_count=8, waiting_count=8)
    pool.replicas.report(hung, load(generated_tokens=70), pool.now)
    assert pool.place("req_trial") == "r0"
    assert no_capacity(pool, request_id="req_more") > 0
    pool.replicas.report(hung, load(generated_tokens=71), pool.now)  # it makes tokens again
    assert pool.place("req_more") == "r0"


def test_at_most_half_of_a_pool_is_shut_out_for_stalling() -> None:
    pool = Pool(4)
    for replica in pool.replicas:
        pool.replicas.report(replica, load(running_count=3, stalled_s=46.0), pool.now)
    for replica in pool.replicas:
        pool.replicas.report(replica, load(), pool.now)
    assert sum(replica.is_usable(pool.now) for replica in pool.replicas) == 2
