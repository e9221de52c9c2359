"""Whose turn it is: by class, fair between tenants, nobody for ever last; and who is refused instead of waiting."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import CapstanError, Reason
from services.router.placement import Request
from services.router.queue import AdmissionQueue, ServiceClass, TurnRate, Waiting
from services.router.replicas import Kind, Replica


class Line:
    """A queue and those that were told something."""

    def __init__(self, capacity: int = 1000, ageing_s: float = 10.0) -> None:
        self.queue = AdmissionQueue(capacity=capacity, ageing_s=ageing_s)
        self.told: dict[str, CapstanError] = {}
        self.now = 100.0

    def join(
        self,
        name: str,
        tenant: str = "t",
        service_class: ServiceClass = ServiceClass.DEFAULT,
        tokens: int = 100,
        patience_s: float = 1e6,
    ) -> Waiting:
        def settle(outcome: Replica | CapstanError) -> None:
            assert isinstance(outcome, CapstanError)
            self.told[name] = outcome

        request = Request(name, "chat", Kind.GENERATE, tokens)
        waiting = Waiting(request, tenant, service_class, self.now, self.now + patience_s, settle)
        self.queue.join(waiting, self.now)
        return waiting

    def take(self) -> str:
        with closing(self.queue.turns(self.now)) as turns:
            waiting = next(turns)
            self.queue.take(waiting)
        return waiting.request.request_id

    def take_all(self) -> list[str]:
        return [self.take() for _ in range(len(self.queue))]


def test_one_tenant_is_served_in_the_order_of_arrival() -> None:
    line = Line()
    for number in range(5):
        line.join(f"{number}")
    assert line.take_all() == ["0", "1", "2", "3", "4"]


def test_a_tenant_with_many_delays_another_by_one() -> None:
    line = Line()
    for number in range(50):
        line.join(f"many{number}", "many")
    line.join("few0", "few")
    line.join("few1", "few")
    assert set(line.take_all()[:4]) == {"many0", "few0", "many1", "few1"}


def test_tenants_share_tokens_and_not_requests() -> None:
    line = Line()
    for number in range(40):
        line.join(f"big{number}", "big", tokens=1000)
        line.join(f"small{number}", "small", tokens=100)
    first = [name[:3] for name in line.take_all()[:22]]
    assert 1 <= first.count("big") <= 3


def test_the_more_urgent_class_goes_first() -> None:
    line = Line()
    for service_class in reversed(ServiceClass):
        line.join(service_class.name, service_class=service_class)
    assert line.take_all() == ["PRIORITY", "DEFAULT", "FLEX", "BATCH"]


def test_waiting_makes_urgent_so_that_none_starves() -> None:
    line = Line(ageing_s=10)
    line.join("old", service_class=ServiceClass.BATCH)
    for number in range(60):
        line.now += 1
        line.join(f"new{number}", service_class=ServiceClass.PRIORITY)
        if line.take() == "old":
            break
    assert 30 <= line.now - 100 <= 41


def test_a_full_queue_sheds_the_last_of_the_least_urgent() -> None:
    line = Line(capacity=3)
    for number in range(3):
        line.join(f"flex{number}", service_class=ServiceClass.FLEX)
    line.join("default")
    assert list(line.told) == ["flex2"]
    assert line.told["flex2"].reason is Reason.OVERLOADED
    with pytest.raises(CapstanError) as refusal:
        line.join("batch", service_class=ServiceClass.BATCH)
    assert refusal.value.reason is Reason.OVERLOADED
    assert line.take_all() == ["default", "flex0", "flex1"]


def test_a_full_queue_keeps_no_tenant_out_because_another_filled_it() -> None:
    line = Line(capacity=5)
    for number in range(5):
        line.join(f"many{number}", "many")
    line.join("few", "few")
    assert line.told.keys() == {"many4"}
    assert line.take() in ("many0", "few")
    line.join("many5", "many")
    with pytest.raises(CapstanError) as refusal:
        line.join("many6", "many")
    assert refusal.value.reason is Reason.OVERLOADED


def test_who_is_sure_to_wait_too_long_is_refused_at_once_and_told_how_long() -> None:
    line = Line()
    for number in range(40):
        line.join(f"{number}")
    for _ in range(20):
        line.now += 0.5
        line.take()
        line.queue.rate.note(1, line.now)
    assert line.queue.rate.per_s == pytest.approx(2.0, rel=0.1)
    with pytest.raises(CapstanError) as refusal:
        line.join("hasty", patience_s=5)
    assert int(refusal.value.metadata["retry_after_ms"]) == pytest.approx(10_500, rel=0.15)
    line.join("patient", patience_s=20)
    line.join("stranger", "another tenant", patience_s=5)  # its turn comes sooner


def test_while_nothing_is_known_about_the_pace_nobody_is_refused() -> None:
    line = Line()
    line.join("first", patience_s=0.1)
    assert line.queue.estimate_s(line.join("second"), line.now) is None


def test_the_pace_is_forgotten_after_a_quiet_minute() -> None:
    rate = TurnRate()
    rate.pause(0.0)
    rate.note(10, 5.0)
    assert rate.per_s == pytest.approx(2.0)
    rate.pause(30.0)
    assert rate.per_s is not None
    rate.pause(100.0)
    assert rate.per_s is None


def test_those_who_are_passed_over_keep_their_places() -> None:
    line = Line()
    for number in range(4):
        line.join(f"{number}")
    with closing(line.queue.turns(line.now)) as turns:
        assert next(turns).request.request_id == "0"
        second = next(turns)
        line.queue.take(second)
        next(turns)
    assert line.take_all() == ["0", "2", "3"]


def test_who_may_wait_no_longer_is_found() -> None:
    line = Line()
    line.join("hasty", patience_s=1)
    line.join("patient")
    line.now += 1
    assert [each.request.request_id for each in line.queue.overdue(line.now)] == ["hasty"]


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "take", "leave"]),
        st.sampled_from(list(ServiceClass)),
        st.integers(0, 3),
        st.integers(1, 500),
    ),
    max_size=60,
)


@given(ACTIONS)
def test_whatever_happens_everybody_leaves_once(actions: list[tuple[str, ServiceClass, int, int]]) -> None:
    line = Line(capacity=12)
    inside: dict[str, Waiting] = {}
    for number, (action, service_class, tenant, tokens) in enumerate(actions):
        line.now += 0.1
        if action == "join":
            try:
                inside[f"{number}"] = line.join(f"{number}", f"t{tenant}", service_class, tokens)
            except CapstanError:
                assert len(line.queue) == 12
        elif action == "take" and inside:
            del inside[line.take()]
        elif action == "leave" and inside:
            line.queue.leave(inside.pop(next(iter(inside))))
        for name in line.told:
            inside.pop(name, None)
        assert len(line.queue) == len(inside)
        assert line.queue.tokens == sum(each.request.tokens for each in inside.values())
    assert sorted(line.take_all()) == sorted(inside)
