"""How a replica is judged by the ways in which requests end there."""

import pytest

from chassis.errors import CapstanError, Reason, unavailable
from services.gateway.attempts import may_try_again, verdict
from services.gateway.peers.inbox import BEGUN

BLAMED = {
    Reason.UNAVAILABLE: "unreachable",
    Reason.ENGINE_FAILED: "failed",
    Reason.INTERNAL: "failed",
    Reason.DEADLINE_EXCEEDED: "timed_out",
}


@pytest.mark.parametrize("reason", Reason)
def test_only_faults_of_its_own_count_and_no_refusal_of_a_request(reason: Reason) -> None:
    assert verdict(CapstanError(reason)) == BLAMED.get(reason, "ok")
    assert may_try_again(CapstanError(reason)) == (reason in BLAMED or reason is Reason.OVERLOADED)


@pytest.mark.parametrize("metadata", [{"limit": "request"}, {"service": "client"}, {"stopping": "true"}])
@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED])
def test_neither_do_a_clients_haste_or_slowness_and_a_drain(reason: Reason, metadata: dict[str, str]) -> None:
    assert verdict(CapstanError(reason, **metadata)) == "ok"


def test_a_session_that_broke_after_it_had_begun_is_a_failure() -> None:
    error = unavailable("inference")
    error.metadata[BEGUN] = "true"
    assert verdict(error) == "failed"
