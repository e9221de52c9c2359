"""Items that gather while a call is under way leave together, and each gets its own answer."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.coalesce import Coalescer
from chassis.errors import CapstanError, Reason


class Wire:
    """A `send` that answers when told to, and remembers what left."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.answers: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def send(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.calls.append(list(items))
        error = await self.answers.get()
        if error is not None:
            raise error
        return [ValueError(str(item)) if item < 0 else item * 10 for item in items]

    def let(self, count: int = 1) -> None:
        for _ in range(count):
            self.answers.put_nowait(None)


async def turn() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def submit(coalescer: Coalescer[int, int], *items: int) -> list[asyncio.Task[int]]:
    return [asyncio.ensure_future(coalescer.submit(item)) for item in items]


async def test_alone_an_item_leaves_at_once() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send)
    (task,) = submit(coalescer, 1)
    await turn()
    assert wire.calls == [[1]]
    wire.let()
    assert await task == 10


async def test_what_gathers_meanwhile_leaves_together_and_in_order() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send)
    first = submit(coalescer, 1)
    await turn()
    rest = submit(coalescer, 2, 3, 4)
    await turn()
    assert wire.calls == [[1]]
    assert coalescer.waiting_count == 3
    wire.let(2)
    assert await asyncio.gather(*first, *rest) == [10, 20, 30, 40]
    assert wire.calls == [[1], [2, 3, 4]]


async def test_a_call_carries_no_more_than_max_batch() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send, max_batch=2)
    tasks = submit(coalescer, 1, 2, 3, 4, 5)
    wire.let(3)
    await asyncio.gather(*tasks)
    assert wire.calls == [[1, 2], [3, 4], [5]]


async def test_a_full_queue_refuses_and_has_room_again_later() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send, max_waiting=2)
    on_the_wire = submit(coalescer, 1)
    await turn()
    waiting = submit(coalescer, 2, 3)
    await turn()
    with pytest.raises(CapstanError) as refusal:
        await coalescer.submit(4)
    assert refusal.value.reason is Reason.OVERLOADED
    assert refusal.value.metadata["retry_after_ms"] == "1000"
    wire.let(3)
    await asyncio.gather(*on_the_wire, *waiting)
    assert await coalescer.submit(5) == 50


async def test_a_failed_call_fails_its_own_items_only() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send)
    first = submit(coalescer, 1)
    await turn()
    second = submit(coalescer, 2)
    await turn()
    wire.answers.put_nowait(CapstanError(Reason.UNAVAILABLE, service="auth"))
    wire.let()
    with pytest.raises(CapstanError, match="UNAVAILABLE"):
        await first[0]
    assert await second[0] == 20


async def test_an_answer_can_be_one_items_failure() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send)
    good, bad = submit(coalescer, 7, -7)
    wire.let()
    assert await good == 70
    with pytest.raises(ValueError, match="-7"):
        await bad


async def test_too_few_answers_are_a_fault_for_all_of_them() -> None:
    async def send(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    coalescer: Coalescer[int, int] = Coalescer(send)
    for outcome in await asyncio.gather(*submit(coalescer, 1, 2), return_exceptions=True):
        assert isinstance(outcome, CapstanError)
        assert outcome.reason is Reason.INTERNAL


async def test_a_waiter_that_leaves_before_the_call_takes_its_item_along() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send)
    first = submit(coalescer, 1)
    await turn()
    gone, stays = submit(coalescer, 2, 3)
    await turn()
    gone.cancel()
    await turn()
    wire.let(2)
    assert await asyncio.gather(*first, stays) == [10, 30]
    assert wire.calls == [[1], [3]]


async def test_a_waiter_that_leaves_during_the_call_disturbs_nobody() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send)
    starter, other = submit(coalescer, 1, 2)
    await turn()
    starter.cancel()  # the one whose submit began the call
    await turn()
    wire.let()
    assert await other == 20
    with pytest.raises(asyncio.CancelledError):
        await starter


async def test_closing_waits_for_what_was_taken_and_takes_no_more() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send)
    first = submit(coalescer, 1)
    await turn()
    rest = submit(coalescer, 2)
    await turn()
    closing = asyncio.ensure_future(coalescer.close())
    await turn()
    with pytest.raises(CapstanError) as refusal:
        await coalescer.submit(3)
    assert refusal.value.reason is Reason.UNAVAILABLE
    wire.let(2)
    await closing
    assert [task.result() for task in (*first, *rest)] == [10, 20]
    await coalescer.close()


async def test_closing_gives_a_stuck_call_up() -> None:
    wire = Wire()
    coalescer = Coalescer(wire.send)
    tasks = submit(coalescer, 1)
    await turn()
    tasks += submit(coalescer, 2)
    await turn()
    await coalescer.close(grace_s=0)
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, CapstanError)
        assert outcome.reason is Reason.UNAVAILABLE


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(-5, 50)),
        st.tuples(st.sampled_from(["answer", "fail", "turn"]), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
    ),
    max_size=60,
)


@given(steps=STEPS, max_batch=st.integers(1, 4), max_waiting=st.integers(1, 6))
def test_whatever_happens_every_item_is_answered_once_and_in_order(
    steps: list[Step], max_batch: int, max_waiting: int
) -> None:
    async def play() -> None:
        wire = Wire()
        coalescer = Coalescer(wire.send, max_batch=max_batch, max_waiting=max_waiting)
        tasks: list[tuple[int, asyncio.Task[int]]] = []
        for name, value in steps:
            if name == "submit":
                tasks.append((value, submit(coalescer, value)[0]))
            elif name == "answer":
                wire.let()
            elif name == "fail":
                wire.answers.put_nowait(RuntimeError("the call failed"))
            elif name == "cancel" and tasks:
                tasks[value % len(tasks)][1].cancel()
            else:
                await turn()
            assert coalescer.waiting_count <= max_waiting
        wire.let(len(steps) + 1)
        await coalescer.close()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)

        sent = [item for call in wire.calls for item in call]
        assert all(0 < len(call) <= max_batch for call in wire.calls)
        answered = []
        for item, task in tasks:
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                assert task.result() == item * 10
            elif isinstance(error, ValueError):
                assert error.args == (str(item),)
            elif isinstance(error, CapstanError):
                assert error.reason in (Reason.OVERLOADED, Reason.UNAVAILABLE)
                continue
            answered.append(item)
        remaining = iter(sent)
        assert all(item in remaining for item in answered)  # a subsequence: in order, none twice

    asyncio.run(play())
