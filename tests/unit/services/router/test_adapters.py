"""An adapter is a model of its own to those who ask, and a change to its base's replicas to those who place."""

import pytest

from chassis.errors import CapstanError, Reason
from services.router.adapters import Adapter, base_of
from services.router.placement import Request
from services.router.replicas import Kind
from services.router.settings import Settings
from tests.unit.services.router.pools import Pool

POET = Adapter("ft:chat:poet", "/adapters/poet")
OURS = Adapter("ft:chat:ours", "/adapters/ours", frozenset({"org-1"}))


def pool_of(count: int = 2, **more: object) -> Pool:
    return Pool(count, adapters=(POET, OURS), aliases={"poet": "ft:chat:poet"}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["ft:chat:poet", "poet"])
def test_it_is_placed_on_a_replica_of_its_base(model: str) -> None:
    pool = pool_of()
    assert pool.place("req_1", model) in ("r0", "r1")
    assert pool.placements.adapter("req_1") == POET
    assert pool.place("req_2", "chat") in ("r0", "r1")
    assert pool.placements.adapter("req_2") is None
    pool.release("req_1")
    assert pool.placements.adapter("req_1") is None


def test_it_is_no_model_for_whom_it_does_not_serve() -> None:
    pool = pool_of()
    assert pool.place("req_1", OURS.name, organization_id="org-1")
    for stranger in ("org-2", ""):
        with pytest.raises(CapstanError) as refusal:
            pool.place("req_2", OURS.name, organization_id=stranger)
        assert refusal.value.reason is Reason.MODEL_NOT_FOUND


def test_it_is_refused_at_once_where_no_replica_takes_adapters() -> None:
    pool = pool_of(0)
    pool.add("r0", max_adapters=0)
    with pytest.raises(CapstanError, match="MAX_ADAPTERS") as refusal:
        pool.place("req_1", POET.name)
    assert refusal.value.reason is Reason.MODEL_NOT_FOUND


def test_without_a_replica_it_is_waited_for_in_its_bases_queue() -> None:
    pool = pool_of(0)
    with pytest.raises(CapstanError) as refusal:
        pool.place("req_1", POET.name)
    assert refusal.value.reason is Reason.NO_CAPACITY
    assert pool.placements.queue(Request("req_1", "poet", Kind.GENERATE, 1)) == "chat"


def test_it_is_listed_with_its_base_and_the_replicas_that_have_it() -> None:
    pool = pool_of()
    pool.report("r1", adapters=frozenset({POET.name}))
    models = {model.name: model for model in pool.catalogue.listing(pool.replicas, pool.now)}
    assert sorted(models) == ["chat", "ft:chat:ours", "ft:chat:poet", "poet"]
    model = models[POET.name]
    assert (model.kind, model.max_model_tokens, model.ready_count) == (Kind.GENERATE, 4096, 2)
    assert model.adapter == POET
    assert [replica.id for replica in model.replicas] == ["r1"]
    assert models["poet"].served_name == POET.name
    assert models["chat"].adapter is None


@pytest.mark.parametrize("name", ["poet", "ft:", "ft:chat", "ft:chat:", "ft::poet"])
def test_a_name_that_does_not_say_its_base_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="ft:BASE:NAME"):
        base_of(name)
    with pytest.raises(ValueError, match="ft:BASE:NAME"):
        Settings(adapters={name: {"path": "/a"}})  # type: ignore[dict-item]
