"""A replica's weight grows with everything that makes it slower."""

from hypothesis import given
from hypothesis import strategies as st

from services.router.load import TYPICAL_TOKENS, pressure

COUNTS = st.integers(0, 10_000)


@given(
    requests=COUNTS,
    waiting=COUNTS,
    tokens=st.integers(0, 10**7),
    kv_usage=st.floats(0, 1),
    slots=st.integers(1, 1024),
    grows=st.sampled_from(["requests", "waiting", "tokens", "kv_usage"]),
)
def test_more_of_anything_weighs_more(
    requests: int, waiting: int, tokens: int, kv_usage: float, slots: int, grows: str
) -> None:
    now = {"requests": requests, "waiting": waiting, "tokens": tokens, "kv_usage": kv_usage}
    more = now | {grows: now[grows] + 1}
    assert pressure(**more, slots=slots) > pressure(**now, slots=slots)  # type: ignore[arg-type]


@given(requests=st.integers(1, 1000), slots=st.integers(1, 1024))
def test_the_same_work_weighs_less_on_a_larger_replica(requests: int, slots: int) -> None:
    work = {"requests": requests, "waiting": 0, "tokens": 0, "kv_usage": 0.0}
    assert pressure(**work, slots=slots + 1) < pressure(**work, slots=slots)  # type: ignore[arg-type]


def test_idle_is_nothing_and_full_is_three() -> None:
    assert pressure(requests=0, waiting=0, tokens=0, kv_usage=0.0, slots=8) == 0
    assert pressure(requests=8, waiting=0, tokens=8 * TYPICAL_TOKENS, kv_usage=1.0, slots=8) == 3
