"""One request's answer on its way out: from the engine's deltas to the session's frames.

Divides a choice's text into thought, text and function calls where the request asks for that, counts what was used, and
says once how it ended. A request without any of it takes a path of two calls per token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from capstan.inference.v1 import inference_pb2
from capstan.usage.v1 import usage_pb2
from chassis.errors import CapstanError, failure
from services.inference.engine import Delta, FinishReason, TokenLogprobs
from services.inference.errors import EngineError
from services.inference.failures import capstan_error
from services.inference.frames import Frames
from services.inference.reasoning import ReasoningForm, ReasoningSplitter
from services.inference.tool_calls import CallFinder, CallPart

FINISH_REASONS: dict[FinishReason, inference_pb2.FinishReason.ValueType] = {
    FinishReason.STOP: inference_pb2.FINISH_REASON_STOP,
    FinishReason.LENGTH: inference_pb2.FINISH_REASON_LENGTH,
    FinishReason.ABORT: inference_pb2.FINISH_REASON_ABORT,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read an answer's text."""

    reasoning: ReasoningForm | None = None
    """How the model marks its thoughts; None: it does not."""
    thinking: bool = False
    """Whether the prompt opened a thought."""
    finder: Callable[[], CallFinder] | None = None
    """Makes what looks for function calls in one choice; None: they are not looked for."""
    named: bool = False
    """Whether one function had to be called: then the end is an ordinary one (as OpenAI has it)."""
    echo: str | None = None
    """The prompt's text, to be told before each choice's own."""

    @property
    def plain(self) -> bool:
        """Whether the text is passed on as it comes."""
        return self.reasoning is None and self.finder is None and self.echo is None


@dataclass(slots=True)
class Tally:
    """What a request used and when its first token came."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    first_token_at: float | None = None
    finish: str = ""
    """How it ended: a finish reason of its last choice, or the reason of its failure."""
    continued_tokens: int = 0
    """Of `completion_tokens`, those that another replica had made before."""

    @property
    def generated(self) -> int:
        """Completion tokens that were made here."""
        return self.completion_tokens - self.continued_tokens


class _Choice:
    """One choice's readers."""

    def __init__(self, reading: Reading) -> None:
        self.splitter = ReasoningSplitter(reading.reasoning, thinking=reading.thinking) if reading.reasoning else None
        self.finder = reading.finder() if reading.finder is not None else None
        self.echo = reading.echo


class Answer:
    """The sink of one request."""

    def __init__(
        self,
        slot: int,
        frames: Frames,
        ended: Callable[[Answer], None],
        now: Callable[[], float],
        new_call_id: Callable[[], str],
    ) -> None:
        """`ended` is called once, when the last delta is in its frame. `now`: monotonic seconds."""
        self.slot = slot
        self.tally = Tally()
        self._frames = frames
        self._ended = ended
        self._now = now
        self._new_call_id = new_call_id
        self._reading = Reading()
        self._plain = True
        self._open = 1
        self._choices: dict[int, _Choice] = {}

    def expect(self, choices: int, prompt_tokens: int, reading: Reading, continued: int = 0) -> None:
        """So many choices will come, and are to be read like this. Before the first delta.

        The last `continued` of the prompt's tokens are the beginning of the answer and count as such.
        """
        self._open = max(choices, 1)
        self.tally.prompt_tokens = prompt_tokens - continued
        self.tally.completion_tokens = self.tally.continued_tokens = continued
        self._reading = reading
        self._plain = reading.plain

    def push(self, delta: Delta) -> None:
        """See `Sink`. What comes after the end is dropped."""
        if not self._open:
            return
        tally = self.tally
        tally.completion_tokens += delta.token_count
        if tally.first_token_at is None:
            self._begin(delta)
        if self._plain and delta.finish is None and delta.logprobs is None:
            self._frames.add(self.slot, delta.choice, delta.text, delta.token_count)
        else:
            self._push_rich(delta)

    def fail(self, error: EngineError) -> None:
        """See `Sink`."""
        self.refuse(capstan_error(error))

    def refuse(self, error: CapstanError) -> None:
        """End the request with this failure, unless it has ended."""
        if self._open:
            self._open = 0
            self.tally.finish = error.reason.name.lower()
            self._frames.add(self.slot, 0, "", 0).failure.CopyFrom(failure(error))
            self._ended(self)

    def cut(self, error: CapstanError) -> None:
        """End the request with this failure and with what it used till now, unless it has ended."""
        if self._open:
            self._open = 0
            self.tally.finish = error.reason.name.lower()
            out = self._frames.add(self.slot, 0, "", 0)
            out.failure.CopyFrom(failure(error))
            self._tell_usage(out)
            self._ended(self)

    def abandon(self) -> None:
        """End it without a word: there is nobody left to tell."""
        if self._open:
            self._open = 0
            self.tally.finish = FinishReason.ABORT.value
            self._ended(self)

    def _begin(self, delta: Delta) -> None:
        self.tally.first_token_at = self._now()
        self.tally.cached_tokens = min(delta.cached_tokens, self.tally.prompt_tokens)
        if self._reading.echo is not None and delta.finish is not FinishReason.ABORT:
            for choice in range(self._open):
                out = self._frames.add(self.slot, choice, self._reading.echo, 0)
                _add_logprobs(out, delta.prompt_logprobs)

    def _push_rich(self, delta: Delta) -> None:
        reading = self._reading
        if reading.reasoning is None and reading.finder is None:
            out = self._frames.add(self.slot, delta.choice, delta.text, delta.token_count)
            called = False
        else:
            out, called = self._read(delta)
        _add_logprobs(out, delta.logprobs)
        if delta.finish is not None:
            self._finish(out, delta.finish, called=called)

    def _read(self, delta: Delta) -> tuple[inference_pb2.Delta, bool]:
        """Divide a choice's text; answer the delta made of it, and whether the choice has called a function."""
        choice = self._choices.get(delta.choice)
        if choice is None:
            choice = self._choices[delta.choice] = _Choice(self._reading)
        text, thought = delta.text, ""
        if choice.splitter is not None:
            if choice.splitter.thinking:
                self.tally.reasoning_tokens += delta.token_count
            thought, text = choice.splitter.feed(text)
            if delta.finish is not None:
                rest = choice.splitter.rest()
                thought, text = thought + rest.reasoning, text + rest.text
        parts: list[CallPart] = []
        if choice.finder is not None:
            text, parts = choice.finder.feed(text)
            if delta.finish is not None:
                found = choice.finder.rest()
                text, parts = text + found.text, parts + found.parts
        out = self._frames.add(self.slot, delta.choice, text, delta.token_count)
        if thought:
            out.reasoning = thought
        for part in parts:
            call_id = self._new_call_id() if part.name else ""
            out.tool_calls.add(index=part.call, call_id=call_id, name=part.name, arguments=part.arguments)
        return out, choice.finder is not None and choice.finder.calls > 0

    def _finish(self, out: inference_pb2.Delta, finish: FinishReason, *, called: bool) -> None:
        if called and finish is FinishReason.STOP and not self._reading.named:
            out.finish_reason = inference_pb2.FINISH_REASON_TOOL_CALLS
        else:
            out.finish_reason = FINISH_REASONS[finish]
        self._open -= 1
        if not self._open:
            self.tally.finish = "tool_calls" if called else finish.value
            self._tell_usage(out)
            self._ended(self)

    def _tell_usage(self, out: inference_pb2.Delta) -> None:
        tally = self.tally
        out.finish.usage.CopyFrom(
            usage_pb2.TokenUsage(
                prompt_tokens=tally.prompt_tokens,
                cached_prompt_tokens=tally.cached_tokens,
                completion_tokens=tally.completion_tokens,
                reasoning_tokens=tally.reasoning_tokens,
            )
        )


def _add_logprobs(out: inference_pb2.Delta, logprobs: Sequence[TokenLogprobs] | None) -> None:
    for place in logprobs or ():
        told = out.logprobs.add()
        told.chosen.token, told.chosen.logprob = place.chosen
        for token, logprob in place.top:
            told.top.add(token=token, logprob=logprob)
