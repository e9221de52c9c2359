"""What placement makes of caches and queues, in virtual time: the promise of the default policy."""

import pytest

from services.router.policies import PolicyName
from tools.bench.placement import WORKLOADS, Seen, observe


def seen(workload: str, policy: PolicyName) -> Seen:
    return observe(WORKLOADS[workload], policy, seed=5, warm_s=20, seconds=30)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_prompts_that_meet_their_past_wait_less_than_half_as_long(workload: str) -> None:
    affinity, turns = seen(workload, "prefix_affinity"), seen(workload, "round_robin")
    assert affinity.hit_rate > turns.hit_rate + 0.1
    assert affinity.p99_s < turns.p99_s / 2


def test_a_document_that_half_of_all_ask_about_overloads_nobody() -> None:
    assert seen("one document", "prefix_affinity").worst_share < 1.5
