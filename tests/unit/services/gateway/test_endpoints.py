"""The last known replicas: asked in turn, for half a minute, those that failed last."""

from services.gateway.endpoints import SPARED_S, TRUSTED_S, Endpoints, Placement


def place(name: str, model: str = "chat") -> Placement:
    return Placement(name, f"unix:/{name}", model, 4096, "fp_1")


def known(*names: str) -> Endpoints:
    endpoints = Endpoints()
    endpoints.learn([place(name) for name in names], 0.0)
    return endpoints


def picks(endpoints: Endpoints, count: int, now: float = 0.0, excluded: tuple[str, ...] = ()) -> set[str]:
    found = [endpoints.pick("chat", excluded, now) for _ in range(count)]
    return {each.replica_id for each in found if each is not None}


def test_all_take_their_turn_but_the_excluded() -> None:
    assert picks(known("a", "b", "c"), 3) == {"a", "b", "c"}
    assert picks(known("a", "b", "c"), 6, excluded=("b",)) == {"a", "c"}


def test_what_is_known_ages_out() -> None:
    assert picks(known("a"), 1, TRUSTED_S) == {"a"}
    assert picks(known("a"), 1, TRUSTED_S + 0.1) == set()


def test_a_router_that_knows_of_none_yet_takes_nothing_away_and_prolongs_nothing() -> None:
    endpoints = known("a", "b")
    endpoints.learn([place("v", "vectors")], 20.0)
    assert picks(endpoints, 2, 20.0) == {"a", "b"}
    endpoints.learn([], TRUSTED_S)
    assert picks(endpoints, 2, TRUSTED_S) == {"a", "b"}
    assert picks(endpoints, 2, TRUSTED_S + 0.1) == set()
    endpoints.learn([place("c")], 40.0)
    assert picks(endpoints, 2, 40.0) == {"c"}


def test_one_that_failed_is_spared_while_there_are_others() -> None:
    endpoints = known("a", "b")
    endpoints.failed("a", 1.0)
    assert picks(endpoints, 4, 2.0) == {"b"}
    assert picks(endpoints, 4, 2.0, excluded=("b",)) == {"a"}
    assert picks(endpoints, 4, 1.0 + SPARED_S) == {"a", "b"}


def test_another_model_has_its_own() -> None:
    endpoints = Endpoints()
    endpoints.learn([place("a"), place("v", "vectors")], 0.0)
    assert picks(endpoints, 4) == {"a"}
    assert endpoints.pick("nope", (), 0.0) is None
