"""Each policy picks as it promises, and every router that knows the same picks the same."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.policies import BOUND, CALM_SHARE, POLICIES, QUEUE_SLACK, Policy, PolicyName, Wish
from services.router.replicas import Kind, Rules
from services.router.ring import Ring
from tests.unit.services.router.pools import Pool

KEYS = st.integers(0, 2**64 - 1)
ROOMY = Rules(queue_share=100.0)


def pick(pool: Pool, policy: PolicyName, wish: Wish) -> str | None:
    replica = POLICIES[policy](pool.replicas.pool("chat", Kind.GENERATE), wish, pool.now)
    return None if replica is None else replica.id


def key(number: int) -> int:
    return random.Random(number).getrandbits(64)


def place(pool: Pool, policy: Policy, wish: Wish) -> str:
    replica = policy(pool.replicas.pool("chat", Kind.GENERATE), wish, pool.now)
    assert replica is not None
    replica.hold(100, pool.now, wish.key)
    return replica.id


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_usable_is_nobody_picked(policy: PolicyName) -> None:
    pool = Pool(2)
    assert pick(pool, policy, Wish("req_1", excluded={"r0", "r1"})) is None
    assert pick(Pool(0), policy, Wish("req_1", (1, 2))) is None


def test_prompts_that_begin_alike_meet() -> None:
    pool = Pool(5)
    homes = {pick(pool, "prefix_affinity", Wish(f"req_{n}", (key(1), key(100 + n)))) for n in range(20)}
    assert len(homes) == 1


def test_different_beginnings_spread() -> None:
    pool = Pool(4)
    homes = Counter(pick(pool, "prefix_affinity", Wish(f"req_{n}", (key(n),))) for n in range(400))
    assert set(homes) == {"r0", "r1", "r2", "r3"}
    assert max(homes.values()) < 200


def test_a_home_that_is_full_sends_longer_beginnings_to_homes_of_their_own() -> None:
    pool = Pool(4, rules=ROOMY)
    shared = key(1)
    first = pick(pool, "prefix_affinity", Wish("req_0", (shared,)))
    assert first is not None
    pool.report(first, running_count=8)
    conversation = (shared, key(2))
    homes = {pick(pool, "prefix_affinity", Wish(f"req_{n}", conversation)) for n in range(10)}
    assert len(homes) == 1
    assert homes != {first} or pick(pool, "prefix_affinity", Wish("req_0", (key(2),))) == first


def test_two_routers_agree_though_they_learnt_in_another_order() -> None:
    one, other = Pool(0), Pool(0)
    for number in range(6):
        one.add(f"r{number}")
        other.add(f"r{5 - number}")
    for number in range(100):
        wish = Wish(f"req_{number}", (key(number), key(1000 + number)))
        assert pick(one, "prefix_affinity", wish) == pick(other, "prefix_affinity", wish)


def test_a_replica_that_leaves_moves_only_its_own() -> None:
    pool = Pool(5)
    before = {n: pick(pool, "prefix_affinity", Wish("req", (key(n),))) for n in range(200)}
    pool.replicas.remove("r2")
    after = {n: pick(pool, "prefix_affinity", Wish("req", (key(n),))) for n in range(200)}
    assert all(before[n] == after[n] for n in before if before[n] != "r2")


@given(prefixes=st.lists(st.integers(0, 3), min_size=1, max_size=120), count=st.integers(2, 6))
def test_no_home_takes_more_than_its_bounded_part(prefixes: list[int], count: int) -> None:
    pool = Pool(count, rules=ROOMY)
    placed: Counter[str] = Counter()
    for number, prefix in enumerate(prefixes):
        placed[place(pool, POLICIES["prefix_affinity"], Wish(f"req_{number}", (key(prefix),)))] += 1
        bound = max(BOUND * (number + 1) / count, 8 * CALM_SHARE) + 1
        assert max(placed.values()) <= bound


def test_a_home_with_a_queue_is_spared_while_others_have_none() -> None:
    pool = Pool(3, rules=ROOMY)
    home = pick(pool, "prefix_affinity", Wish("req_1", (key(7),)))
    assert home is not None
    pool.report_all(running_count=8)
    pool.report(home, running_count=7, waiting_count=QUEUE_SLACK)
    assert pick(pool, "prefix_affinity", Wish("req_1", (key(7),))) == home
    pool.report(home, running_count=6, waiting_count=QUEUE_SLACK + 1)
    assert pick(pool, "prefix_affinity", Wish("req_1", (key(7),))) != home


def test_a_popular_prompt_leaves_room_at_its_home_for_a_rare_one() -> None:
    pool = Pool(3, rules=ROOMY)
    popular = key(1)
    home = pick(pool, "prefix_affinity", Wish("req_0", (popular,)))
    assert home is not None
    rare = next(key(n) for n in range(2, 99) if pick(pool, "prefix_affinity", Wish("req_0", (key(n),))) == home)
    crowd = Counter(place(pool, POLICIES["prefix_affinity"], Wish(f"req_{n}", (popular,))) for n in range(60))
    assert max(crowd.values()) <= 60 / 2
    assert place(pool, POLICIES["prefix_affinity"], Wish("req_60", (rare,))) == home


def test_a_session_keeps_its_home_where_a_new_prompt_would_be_sent_on() -> None:
    pool = Pool(3, rules=ROOMY)
    talk, prompt = Wish("req_0", (key(2),), session_hash=key(1)), Wish("req_1", (key(1),))
    home = pick(pool, "prefix_affinity", talk)
    assert home is not None
    assert home == pick(pool, "prefix_affinity", prompt)
    pool.report_all(running_count=8)
    pool.report(home, running_count=17)
    assert pick(pool, "prefix_affinity", talk) == home
    assert pick(pool, "prefix_affinity", prompt) != home


def test_what_has_left_is_no_crowd() -> None:
    pool = Pool(2, rules=ROOMY)
    replica = pool.replica("r0")
    for _ in range(3):
        replica.hold(100, pool.now, key(1))
        replica.let_go(100, key(1))
    assert not replica.crowds


def test_a_slow_replica_with_a_popular_prompt_gets_little_of_it() -> None:
    pool = Pool(3, rules=ROOMY)
    homes: Counter[str] = Counter()
    running: list[tuple[int, str]] = []
    slow = pick(pool, "prefix_affinity", Wish("req", (key(1),)))
    for step in range(600):
        for end, name in [entry for entry in running if entry[0] <= step]:
            pool.replica(name).let_go(100, key(1))
            running.remove((end, name))
        home = place(pool, POLICIES["prefix_affinity"], Wish(f"req_{step}", (key(1), key(step))))
        homes[home] += 1
        running.append((step + (100 if home == slow else 10), home))
    assert homes[slow or ""] / 600 < 0.15


def test_a_session_stays_where_it_is_whatever_its_prompts() -> None:
    pool = Pool(5)
    assert len({pick(pool, "session", Wish(f"req_{n}", (key(n),), session_hash=key(99))) for n in range(30)}) == 1
    assert len({pick(pool, "session", Wish(f"req_{n}", (key(n),))) for n in range(30)}) > 1


def test_a_short_prompt_follows_its_session() -> None:
    pool = Pool(5)
    assert len({pick(pool, "prefix_affinity", Wish(f"req_{n}", session_hash=key(99))) for n in range(30)}) == 1


def test_round_robin_goes_round() -> None:
    pool = Pool(3)
    homes = [pick(pool, "round_robin", Wish("req_1")) for _ in range(6)]
    assert Counter(homes) == {"r0": 2, "r1": 2, "r2": 2}


def test_an_adapter_is_used_where_it_is_loaded() -> None:
    pool = Pool(4)
    pool.report("r2", adapters=frozenset({"poet"}))
    for policy in POLICIES:
        assert {pick(pool, policy, Wish(f"req_{n}", (key(n),), adapter="poet")) for n in range(20)} == {"r2"}


def test_an_adapter_that_nobody_has_is_loaded_at_its_home_whatever_the_prompts() -> None:
    pool, other = Pool(4), Pool(4)
    homes = {pick(pool, "prefix_affinity", Wish(f"req_{n}", (key(n),), adapter="poet")) for n in range(20)}
    assert len(homes) == 1
    assert homes == {pick(other, "least_load", Wish("req_1", adapter="poet"))}
    assert len({pick(pool, "prefix_affinity", Wish("req_1", adapter=f"poet-{n}")) for n in range(30)}) == 4


def test_a_busy_replica_shares_its_adapter_with_another_and_then_both_serve_it() -> None:
    pool = Pool(4)
    pool.report("r2", adapters=frozenset({"poet"}), running_count=4)
    second = pick(pool, "prefix_affinity", Wish("req_1", adapter="poet"))
    assert second not in ("r2", None)
    pool.report(second or "", adapters=frozenset({"poet"}))
    pool.report("r2", adapters=frozenset({"poet"}), running_count=1)
    homes = {pick(pool, "prefix_affinity", Wish(f"req_{n}", (key(n),), adapter="poet")) for n in range(30)}
    assert homes == {"r2", second}


def test_when_all_are_busy_an_adapter_stays_where_it_is_loaded() -> None:
    pool = Pool(3)
    pool.report_all(running_count=5)
    pool.report("r1", running_count=6, adapters=frozenset({"poet"}))
    assert pick(pool, "prefix_affinity", Wish("req_1", adapter="poet")) == "r1"


def test_a_replica_with_a_free_slot_loads_an_adapter_before_one_that_must_drop_another() -> None:
    pool = Pool(3)
    home = pick(pool, "prefix_affinity", Wish("req_1", adapter="poet"))
    pool.report(home or "", adapters=frozenset({"one", "two"}))
    assert pick(pool, "prefix_affinity", Wish("req_1", adapter="poet")) not in (home, None)
    pool.report_all(adapters=frozenset({"one", "two"}))
    assert pick(pool, "prefix_affinity", Wish("req_1", adapter="poet")) == home


def test_an_adapter_goes_to_nobody_who_takes_none() -> None:
    pool = Pool(0)
    pool.add("r0", max_adapters=0)
    pool.add("r1")
    assert {pick(pool, "prefix_affinity", Wish("req_1", adapter=f"poet-{n}")) for n in range(9)} == {"r1"}
    assert pick(pool, "prefix_affinity", Wish("req_1", adapter="poet", excluded={"r1"})) is None


@given(KEYS)
def test_a_walk_of_the_ring_meets_everybody_once(where: int) -> None:
    ring = Ring(Pool(7).replicas.pool("chat", Kind.GENERATE).replicas)
    names = [replica.id for replica in ring.walk(where)]
    assert len(names) == len(set(names)) == 7
