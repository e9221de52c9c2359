"""What took two replicas down is not shown a third."""

import pytest

from chassis.errors import CapstanError, Reason
from services.router.quarantine import CAPACITY, Quarantine
from tests.unit.services.router.pools import Pool


def die(pool: Pool, request_id: str, *excluded: str, body_hash: int = 7) -> str:
    home = pool.place(request_id, excluded=excluded, body_hash=body_hash)
    pool.placements.release(request_id, went_well=False, now=pool.now, died=True)
    return home


def test_a_request_that_two_replicas_died_with_is_refused_and_so_is_its_like() -> None:
    pool = Pool(3)
    first = die(pool, "req_1")
    die(pool, "req_1", first)
    with pytest.raises(CapstanError) as refusal:
        pool.place("req_2", body_hash=7)
    assert refusal.value.reason is Reason.PARAMETER_REFUSED
    assert pool.place("req_3", body_hash=8)


def test_one_death_of_many_requests_accuses_none() -> None:
    pool = Pool(3)
    homes = [die(pool, f"req_{number}") for number in range(2)]
    assert homes
    assert pool.place("req_9", body_hash=7)


def test_the_quarantine_ends() -> None:
    pool = Pool(3)
    die(pool, "req_1", die(pool, "req_1"))
    pool.pass_time(601)
    assert pool.place("req_2", body_hash=7)


def test_a_content_that_was_served_is_cleared() -> None:
    pool = Pool(3)
    pool.place("req_0", body_hash=7)
    die(pool, "req_1", die(pool, "req_1"))
    pool.release("req_0")
    assert pool.place("req_2", body_hash=7)


def test_what_has_no_hash_is_never_suspected() -> None:
    pool = Pool(3)
    die(pool, "req_1", die(pool, "req_1", body_hash=0), body_hash=0)
    assert pool.place("req_2", body_hash=0)


def test_it_forgets_the_oldest_when_it_is_full() -> None:
    quarantine = Quarantine()
    for number in range(CAPACITY + 5):
        quarantine.suspect(number + 1, f"req_{number}", "r0", 0.0)
        quarantine.suspect(number + 1, f"req_{number}", "r1", 0.0)
    assert len(quarantine) == CAPACITY
    assert not quarantine.holds(1, 0.0)
    assert quarantine.holds(CAPACITY + 5, 0.0)
