"""Who hears of a change, and what becomes of a listener that cannot keep up."""

import asyncio
from collections.abc import Awaitable

import pytest

from chassis.errors import CapstanError, Reason
from services.auth.watch import MOST_UNREAD, Change, Changes, parse


class Ears:
    """Stands for the own cache."""

    def __init__(self) -> None:
        self.heard: list[Change | str] = []
        self.changes = Changes(self.heard.append, lambda: self.heard.append("distrust"))
        self.changes.set_following(True)


@pytest.fixture
async def ears() -> Ears:
    return Ears()


def of_key(name: str) -> Change:
    return Change(key_ids=frozenset([name]))


def test_a_notification_names_a_key_or_a_project_and_anything_else_nothing() -> None:
    assert parse("key:key_1") == of_key("key_1")
    assert parse("project:proj_1") == Change(project_ids=frozenset(["proj_1"]))
    assert parse("planet:mars") == parse("") == Change()


async def test_every_listener_hears_every_change_added_up(ears: Ears) -> None:
    with ears.changes.subscription() as one, ears.changes.subscription() as other:
        ears.changes.publish(of_key("key_1"))
        ears.changes.publish(of_key("key_2"))
        ears.changes.publish(Change(project_ids=frozenset(["proj_1"])))
        expected = Change(frozenset(["key_1", "key_2"]), frozenset(["proj_1"]))
        assert await one.next() == await other.next() == expected
        waiting = asyncio.ensure_future(one.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        ears.changes.publish(of_key("key_3"))
        assert await waiting == of_key("key_3")


async def test_the_own_cache_forgets_before_anyone_else_hears(ears: Ears) -> None:
    with ears.changes.subscription() as subscription:
        ears.changes.publish(of_key("key_1"))
        assert ears.heard[-1] == of_key("key_1")
        assert await subscription.next() == of_key("key_1")


async def ended(waiting: Awaitable[Change]) -> bool:
    with pytest.raises(CapstanError) as caught:
        await waiting
    return caught.value.reason is Reason.UNAVAILABLE


async def test_streams_end_when_the_database_cannot_be_heard_and_none_begins(ears: Ears) -> None:
    with ears.changes.subscription() as subscription:
        ears.changes.publish(of_key("key_1"))
        ears.changes.set_following(False)
        assert ears.heard[-1] == "distrust"
        assert await ended(subscription.next())
    with pytest.raises(CapstanError), ears.changes.subscription():
        pass
    ears.changes.set_following(True)
    with ears.changes.subscription():
        pass


async def test_a_listener_that_reads_too_slowly_is_ended_and_the_others_are_not(ears: Ears) -> None:
    with ears.changes.subscription() as slow, ears.changes.subscription() as quick:
        for number in range(MOST_UNREAD):
            ears.changes.publish(of_key(f"key_{number}"))
        await quick.next()
        ears.changes.publish(of_key("key_last"))
        ears.changes.publish(of_key("key_after"))
        assert await ended(slow.next())
        assert await quick.next() == Change(frozenset(["key_last", "key_after"]))


async def test_a_service_that_stops_ends_all_streams_and_takes_none(ears: Ears) -> None:
    with ears.changes.subscription() as subscription:
        ears.changes.close()
        assert await ended(subscription.next())
    ears.changes.set_following(True)
    with pytest.raises(CapstanError), ears.changes.subscription():
        pass


async def test_a_call_knows_when_all_that_it_changed_was_heard(ears: Ears) -> None:
    assert parse("call:1") == Change(call_id="1")
    with ears.changes.subscription() as subscription, ears.changes.expected("1") as heard:
        ears.changes.publish(of_key("key_1"))
        ears.changes.publish(parse("call:2"))
        assert not heard.is_set()
        ears.changes.publish(parse("call:1"))
        assert heard.is_set()
        assert await subscription.next() == of_key("key_1")  # whose call it was is nobody's to know
    ears.changes.publish(parse("call:1"))


async def test_a_call_does_not_wait_for_what_cannot_be_heard(ears: Ears) -> None:
    with ears.changes.expected("1") as heard:
        ears.changes.set_following(False)
        assert heard.is_set()
    with ears.changes.expected("2") as heard:
        assert heard.is_set()
