"""Which models there are is never forgotten, and says how they stand."""

from collections import Counter

import pytest

from chassis.errors import CapstanError
from services.router.models import Catalogue, Model
from services.router.replicas import Description, Kind
from tests.unit.services.router.pools import Pool


def listing(pool: Pool) -> dict[str, Model]:
    models = pool.catalogue.listing(pool.replicas, pool.now)
    assert [model.name for model in models] == sorted(model.name for model in models)
    return {model.name: model for model in models}


def test_a_served_model_is_listed_with_its_replicas() -> None:
    pool = Pool(2)
    pool.now += 2
    pool.report("r1")
    assert listing(pool) == {
        "chat": Model(
            "chat", "chat", Kind.GENERATE, 1_700_000_000.0, 4096, ready_count=2, staleness_s=0.0, targets={"chat": 1}
        )
    }


def test_a_model_whose_replicas_are_gone_stays_listed() -> None:
    pool = Pool(1)
    pool.now += 60
    model = listing(pool)["chat"]
    assert (model.ready_count, model.staleness_s) == (0, 60.0)


def test_an_alias_is_listed_beside_what_it_stands_for() -> None:
    pool = Pool(1, aliases={"gpt-4o": "chat"})
    models = listing(pool)
    assert models["gpt-4o"].served_name == "chat"
    assert models["gpt-4o"].ready_count == 1


def test_an_alias_whose_model_never_came_is_listed_without_a_kind() -> None:
    model = listing(Pool(0, aliases={"gpt-4o": "later"}))["gpt-4o"]
    assert (model.served_name, model.kind, model.ready_count, model.staleness_s) == ("later", None, 0, None)


def test_a_served_name_wins_over_an_alias() -> None:
    pool = Pool(1, aliases={"chat": "other"})
    assert pool.catalogue.served_name("chat") == "chat"
    assert listing(pool)["chat"].served_name == "chat"


def test_an_expected_model_is_known_before_its_replica() -> None:
    catalogue = Catalogue({}, {"chat": Kind.EMBED}, now=5.0)
    assert catalogue.served_name("chat") == "chat"
    assert catalogue.kinds("chat") == {Kind.EMBED}
    catalogue.learn(Description("chat", frozenset({Kind.GENERATE, Kind.EMBED}), 10, "fp_1"), now=9.0)
    (model,) = catalogue.listing(Pool(0).replicas, 0.0)
    assert (model.kind, model.create_time, model.max_model_tokens) == (Kind.GENERATE, 5.0, 10)


def test_a_replica_that_was_ejected_is_not_ready() -> None:
    pool = Pool(2)
    pool.fail("r0", 3)
    assert listing(pool)["chat"].ready_count == 1


def test_the_shares_of_an_alias_are_drawn_by_request() -> None:
    shares = {"chat": 9, "next": 1}
    pool = Pool(1, aliases={"gpt-4o": shares})
    draws = Counter(pool.catalogue.served_name("gpt-4o", f"req_{number}") for number in range(2000))
    assert 140 <= draws["next"] <= 260
    assert draws["chat"] + draws["next"] == 2000
    assert listing(pool)["gpt-4o"].targets == shares
    assert listing(pool)["gpt-4o"].served_name == "chat"


def test_a_fallback_serves_what_its_model_cannot() -> None:
    pool = Pool(1)
    pool.add("s0", "small")
    pool.catalogue._fallbacks = {"chat": ("later", "small")}
    assert pool.place("req_1") == "r0"
    pool.report("r0", accepting=False)
    assert pool.place("req_2") == "s0"
    with pytest.raises(CapstanError, match="NO_CAPACITY"):
        pool.place("req_3", no_fallback=True)
