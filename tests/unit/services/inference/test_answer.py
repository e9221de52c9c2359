"""One request's way out: text, thoughts and calls divided, everything counted, one end."""

from __future__ import annotations

from functools import partial
from itertools import count

import pytest

from capstan.inference.v1 import inference_pb2 as pb
from chassis.errors import Reason
from services.inference.answer import FINISH_REASONS, Answer, Reading
from services.inference.engine import Delta, FinishReason, LogprobEntry, TokenLogprobs
from services.inference.errors import GenerationFailedError
from services.inference.frames import Frames
from services.inference.reasoning import ReasoningForm
from services.inference.tool_calls_hermes import HermesFinder


class Out:
    """An answer and what came of it."""

    def __init__(self, reading: Reading | None = None, choices: int = 1) -> None:
        self.woken = 0
        self.ended = 0
        self.frames = Frames(self._wake, limit=1000)
        ids = count(1)
        self.answer = Answer(3, self.frames, self._end, lambda: 7.0, lambda: f"call_{next(ids)}")
        self.answer.expect(choices, 11, reading or Reading())

    def _wake(self) -> None:
        self.woken += 1

    def _end(self, answer: Answer) -> None:
        self.ended += 1

    def push(self, text: str, finish: FinishReason | None = None, *, choice: int = 0, cached: int = 0) -> None:
        self.answer.push(Delta(choice, text, 1, finish, cached_tokens=cached))

    def deltas(self) -> list[pb.Delta]:
        return list(self.frames.take().deltas)


def test_plain_text_passes_and_is_counted() -> None:
    out = Out()
    out.push("Hel", cached=5)
    out.push("lo", FinishReason.STOP)
    first, last = out.deltas()
    assert (first.slot, first.text, first.token_count, first.finish_reason) == (3, "Hel", 1, 0)
    assert (last.text, last.finish_reason) == ("lo", pb.FINISH_REASON_STOP)
    usage = last.finish.usage
    assert (usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens) == (11, 5, 2)
    assert (out.ended, out.woken) == (1, 1)
    assert out.answer.tally.first_token_at == 7.0


def test_the_slot_ends_with_its_last_choice() -> None:
    out = Out(choices=2)
    out.push("a", FinishReason.LENGTH, choice=1)
    assert out.ended == 0
    out.push("b", FinishReason.STOP)
    first, last = out.deltas()
    assert not first.HasField("finish")
    assert last.finish.usage.completion_tokens == 2
    assert out.ended == 1


def test_what_comes_after_the_end_is_dropped() -> None:
    out = Out()
    out.push("a", FinishReason.STOP)
    out.push("b")
    out.answer.fail(GenerationFailedError("late"))
    out.answer.abandon()
    assert len(out.deltas()) == 1
    assert out.ended == 1


def test_a_failure_ends_all_choices() -> None:
    out = Out(choices=3)
    out.push("a")
    out.answer.fail(GenerationFailedError("broken"))
    out.push("b", choice=1)
    _, last = out.deltas()
    assert last.failure.reason == Reason.ENGINE_FAILED.value
    assert (out.ended, out.answer.tally.finish) == (1, "engine_failed")


def test_an_abandoned_answer_says_nothing_and_ends() -> None:
    out = Out()
    out.answer.abandon()
    assert out.deltas() == []
    assert out.ended == 1


def test_thoughts_are_apart_and_counted() -> None:
    out = Out(Reading(reasoning=ReasoningForm()))
    for piece in ("<think>", "Hm", ".", "</think>", "Four"):
        out.push(piece)
    out.push("", FinishReason.STOP)
    deltas = out.deltas()
    assert "".join(delta.reasoning for delta in deltas) == "Hm."
    assert "".join(delta.text for delta in deltas) == "Four"
    assert deltas[-1].finish.usage.reasoning_tokens == 3
    assert deltas[-1].finish.usage.completion_tokens == 6


def test_calls_are_told_in_parts_and_end_as_calls() -> None:
    out = Out(Reading(finder=partial(HermesFinder, frozenset({"f"}))))
    for piece in ("Ok.\n<tool_", 'call>{"name": "f", "argu', 'ments": {"a"', ": 1}}", "</tool_call>"):
        out.push(piece)
    out.push("", FinishReason.STOP)
    deltas = out.deltas()
    parts = [part for delta in deltas for part in delta.tool_calls]
    assert (parts[0].index, parts[0].call_id, parts[0].name) == (0, "call_1", "f")
    assert {(part.call_id, part.name) for part in parts[1:]} == {("", "")}
    assert "".join(part.arguments for part in parts) == '{"a": 1}'
    assert "".join(delta.text for delta in deltas) == "Ok."
    assert deltas[-1].finish_reason == pb.FINISH_REASON_TOOL_CALLS


@pytest.mark.parametrize(
    ("named", "finish", "told"),
    [
        (True, FinishReason.STOP, pb.FINISH_REASON_STOP),
        (False, FinishReason.LENGTH, pb.FINISH_REASON_LENGTH),
        (False, FinishReason.ABORT, pb.FINISH_REASON_ABORT),
    ],
)
def test_a_call_is_no_excuse_for_another_end(named: bool, finish: FinishReason, told: int) -> None:
    out = Out(Reading(finder=partial(HermesFinder, frozenset({"f"})), named=named))
    out.push('<tool_call>{"name": "f", "arguments": {}}</tool_call>', finish)
    assert out.deltas()[-1].finish_reason == told


def test_each_choice_is_read_by_itself() -> None:
    out = Out(Reading(finder=partial(HermesFinder, frozenset({"f"}))), choices=2)
    for piece in ("<tool_call>", '{"name": "f", "arguments": {}}', "</tool_call>"):
        out.push(piece)
        out.push("text ", choice=1)
    out.push("", FinishReason.STOP)
    out.push("", FinishReason.STOP, choice=1)
    deltas = out.deltas()
    assert "".join(delta.text for delta in deltas if delta.choice == 1) == "text text text "
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == [
        pb.FINISH_REASON_TOOL_CALLS,
        pb.FINISH_REASON_STOP,
    ]


def test_an_echo_comes_once_before_each_choice_and_costs_nothing() -> None:
    out = Out(Reading(echo="Say "), choices=2)
    out.push("it", FinishReason.STOP)
    out.push("so", FinishReason.STOP, choice=1)
    deltas = out.deltas()
    assert ["".join(d.text for d in deltas if d.choice == choice) for choice in (0, 1)] == ["Say it", "Say so"]
    assert deltas[-1].finish.usage.completion_tokens == 2


def test_log_probabilities_travel_as_bytes() -> None:
    out = Out()
    place = TokenLogprobs(LogprobEntry(b"\xf0\x9f", -0.5), (LogprobEntry(b"a", -0.1), LogprobEntry(b"b", -2.0)))
    out.answer.push(Delta(0, "", 1, None, [place]))
    [delta] = out.deltas()
    assert delta.logprobs[0].chosen.token == b"\xf0\x9f"
    assert [entry.token for entry in delta.logprobs[0].top] == [b"a", b"b"]


def test_every_end_of_the_engine_has_a_name_on_the_wire() -> None:
    assert FINISH_REASONS.keys() == set(FinishReason)
