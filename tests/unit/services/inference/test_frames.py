"""Frames: one per step, more in one for a slow reader, always in order."""

from __future__ import annotations

from services.inference.frames import Frames


def test_news_of_one_step_make_one_frame_in_their_order() -> None:
    woken: list[int] = []
    frames = Frames(lambda: woken.append(1), limit=10)
    for slot in (3, 1, 2):
        frames.add(slot, 0, f"text {slot}", 1)
    assert woken == [1]
    assert [delta.slot for delta in frames.take().deltas] == [3, 1, 2]
    assert frames.waiting == 0


def test_a_slow_reader_gets_the_steps_it_missed_together() -> None:
    woken: list[int] = []
    frames = Frames(lambda: woken.append(1), limit=10)
    for step in range(3):
        frames.add(1, 0, str(step), 1)
        frames.add(2, 0, str(step), 1)
    assert "".join(delta.text for delta in frames.take().deltas if delta.slot == 1) == "012"
    assert woken == [1]
    frames.add(1, 0, "3", 1)
    assert woken == [1, 1]


def test_more_than_may_wait_is_an_overflow() -> None:
    frames = Frames(lambda: None, limit=2)
    for _ in range(2):
        frames.add(1, 0, "", 1)
    assert not frames.overflowed
    frames.add(1, 0, "", 1)
    assert frames.overflowed
    frames.take()
    assert not frames.overflowed


def test_a_delta_can_be_filled_in_until_it_is_taken() -> None:
    frames = Frames(lambda: None, limit=2)
    frames.add(1, 0, "", 1).reasoning = "Hm"
    assert frames.take().deltas[0].reasoning == "Hm"
