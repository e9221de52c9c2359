"""What the gateway remembers of keys: believed while fresh, borne while auth is away, gone when it changed."""

import dataclasses

from chassis.errors import CapstanError, Reason
from services.gateway import known_keys
from services.gateway.caller import Caller
from services.gateway.known_keys import MAX_REFUSALS, REFUSAL_TTL_S, STALE_S, KnownKeys

CALLER = Caller(
    organization_id="org-1",
    project_id="proj_1",
    key_id="key_1",
    owner_id="user-1",
    scopes=frozenset(),
    allowed_models=frozenset(),
    moderation="off",
    limits=(),
    expires_at=None,
)
REFUSAL = CapstanError(Reason.KEY_INVALID)


def knowing(**callers: Caller) -> KnownKeys:
    known = KnownKeys()
    for digest, caller in callers.items():
        known.learn(digest.encode(), caller, 60, now=0, asked_at=(0, 0))
    return known


def test_a_caller_is_believed_for_its_time_and_no_longer() -> None:
    known = knowing(a=CALLER)
    assert known.fresh(b"a", 59.9) is CALLER
    assert known.fresh(b"a", 60) is None
    assert known.fresh(b"b", 0) is None


def test_a_stale_caller_is_served_for_a_while_and_believed_for_a_moment_only() -> None:
    known = knowing(a=CALLER)
    assert known.stale(b"a", 100) is CALLER
    assert known.fresh(b"a", 100.5) is CALLER
    assert known.fresh(b"a", 101) is None
    assert known.stale(b"a", 60 + STALE_S) is None


def test_being_served_again_and_again_makes_no_caller_immortal() -> None:
    known = knowing(a=CALLER)
    now = 60.0
    while known.stale(b"a", now) is not None:
        now += 0.7
    assert now <= 60 + STALE_S + 0.7
    assert known.fresh(b"a", now) is None


def test_a_refusal_is_remembered_briefly_and_takes_the_callers_place() -> None:
    known = knowing(a=CALLER)
    known.learn(b"a", REFUSAL, 0, now=10, asked_at=(0, 0))
    assert known.fresh(b"a", 10 + REFUSAL_TTL_S - 0.1) is REFUSAL
    assert known.fresh(b"a", 10 + REFUSAL_TTL_S) is None
    assert known.stale(b"a", 10) is None


def test_an_answer_to_a_question_from_before_a_change_is_not_kept() -> None:
    known = KnownKeys()
    asked_at = known.moment
    known.forget({"key_1"}, set())
    known.learn(b"a", CALLER, 60, now=0, asked_at=asked_at)
    assert known.fresh(b"a", 0) is None


def test_an_answer_to_a_question_from_before_a_doubt_counts_only_while_auth_is_away() -> None:
    known = KnownKeys()
    asked_at = known.moment
    known.distrust(0)
    known.learn(b"a", CALLER, 60, now=0, asked_at=asked_at)
    known.learn(b"b", REFUSAL, 0, now=0, asked_at=asked_at)
    assert known.fresh(b"a", 0) is None
    assert known.fresh(b"b", 0) is None
    assert known.stale(b"a", 0) is CALLER


def test_what_changed_is_forgotten_and_the_rest_is_kept() -> None:
    other = dataclasses.replace(CALLER, key_id="key_2", project_id="proj_2")
    third = dataclasses.replace(CALLER, key_id="key_3", project_id="proj_3")
    known = knowing(a=CALLER, b=other, c=third)
    known.learn(b"junk", REFUSAL, 0, now=0, asked_at=(0, 0))
    known.forget({"key_1"}, {"proj_2"})
    assert [known.fresh(digest, 1) for digest in (b"a", b"b", b"c", b"junk")] == [None, None, third, None]
    assert known.stale(b"a", 1) is None


def test_what_is_distrusted_is_asked_again_and_still_served_when_auth_is_away() -> None:
    known = knowing(a=CALLER)
    known.distrust(5)
    assert known.fresh(b"a", 5) is None
    assert known.stale(b"a", 5) is CALLER


def test_junk_never_drives_a_good_key_out() -> None:
    known = knowing(a=CALLER)
    for number in range(MAX_REFUSALS + 10):
        known.learn(b"junk%d" % number, REFUSAL, 0, now=0, asked_at=(0, 0))
    assert known.fresh(b"a", 1) is CALLER
    assert known.fresh(b"junk0", 1) is None
    assert known.fresh(b"junk%d" % (MAX_REFUSALS + 9), 1) is REFUSAL


def test_callers_are_bounded_too(monkeypatch) -> None:
    monkeypatch.setattr(known_keys, "MAX_CALLERS", 2)
    known = knowing(a=CALLER, b=CALLER, c=CALLER)
    assert known.fresh(b"a", 1) is None
    assert known.fresh(b"c", 1) is CALLER
