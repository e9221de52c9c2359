"""A continuous-batching engine without a model: which sequences run, wait, share cache, and get a token in a step.

Pure but for the sinks it calls: `step(now)` is told the time, so that a test can run an hour in a millisecond. It
behaves like vLLM where routers, queues and meters look: admission by priority and arrival, a batch limit, one token per
running sequence and step, prefills in chunks that share the steps with everything else, a block cache with prefix
sharing, preemption of the youngest when the cache is full.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import asdict, dataclass

from services.inference.engine import Delta, EngineLoad, FinishReason, Sink
from services.inference.errors import EngineError, EngineOverloadedError
from services.inference.request import GenerationRequest
from services.inference.sim_cache import BlockCache, block_hashes
from services.inference.sim_text import Speaker, natural_length, prompt_logprobs, seed_of
from services.inference.sim_thought import thought
from services.inference.sim_vocabulary import SimTokenizer, make_tape


@dataclass(frozen=True, slots=True)
class Pace:
    """The knobs that can be turned while it runs."""

    tokens_per_s: float = 50.0
    """Per sequence. 0: as fast as the machine can."""
    ttft_s: float = 0.05
    """From admission to the first token, for an empty prompt."""
    prefill_tokens_per_s: float = 0.0
    """Uncached prompt tokens that all prefills together get through. They are computed in the steps, first come first
    served, and make these longer for every sequence. 0: prefills take no time."""
    max_step_tokens: int = 2048
    """Tokens that a step computes at the most: one for each sequence that is past its prefill, the rest for prefills.
    Means nothing while prefills take no time."""
    max_running: int = 64
    """Sequences in the batch."""
    max_waiting: int = 1024
    """Sequences that may wait; more are refused."""
    answer_tokens: int = 64
    """Mean length of an answer that is not cut short."""
    think_tokens: int = 0
    """Length of a thought before each answer, its tags not counted. 0: it does not think."""
    slowness: float = 1.0
    """Multiplies all times."""

    @property
    def step_s(self) -> float:
        """Time between two steps."""
        return self.slowness / self.tokens_per_s if self.tokens_per_s else 0.0

    def prefill_s(self, tokens: int) -> float:
        """Time that this many uncached prompt tokens take."""
        return tokens / self.prefill_tokens_per_s * self.slowness if self.prefill_tokens_per_s else 0.0


@dataclass(eq=False, slots=True)
class _Sequence:
    """One choice of one request."""

    request: GenerationRequest
    choice: int
    sink: Sink
    speaker: Speaker
    hashes: list[int]
    """Of the prompt's shareable blocks."""
    order: int
    """Arrival."""
    ready_at: float = math.inf
    """Its first token does not come sooner."""
    unread: int = 0
    """Prompt tokens that are still to be computed."""
    chunk: int = 0
    """Of those, what the step under way computes."""
    private: int = 0
    """Unshared blocks it holds."""
    room: int = 0
    """Tokens that still fit its blocks."""
    cached_tokens: int = 0
    """Prompt tokens found in the cache when it was first admitted."""


@dataclass(slots=True)
class _Counters:
    """Sums since the start."""

    prompt_tokens: int = 0
    generated_tokens: int = 0
    prefix_query_tokens: int = 0
    prefix_hit_tokens: int = 0
    preemptions: int = 0


class Simulation:
    """The engine's state. Times are seconds on the caller's clock."""

    def __init__(
        self, pace: Pace, *, max_model_tokens: int, kv_blocks: int, block_tokens: int, tokenizer: SimTokenizer
    ) -> None:
        self.pace = pace
        if kv_blocks * block_tokens < max_model_tokens:
            raise ValueError("the KV cache must have room for one request of the greatest length")
        self._max_model_tokens = max_model_tokens
        self._block_tokens = block_tokens
        self._tokenizer = tokenizer
        self._tape = make_tape(tokenizer)
        self._cache = BlockCache(kv_blocks)
        self._waiting: list[tuple[int, int, _Sequence]] = []
        self._running: dict[_Sequence, None] = {}
        self._prefilling: dict[_Sequence, None] = {}
        """Of those that run, the ones whose prompt is not computed yet, in the order of admission."""
        self._step_prefill = 0
        """Prompt tokens that the step under way computes."""
        self._requests: dict[str, list[_Sequence]] = {}
        self._arrivals = 0
        self._counters = _Counters()
        self._last_step: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a step would have anything to do, now or later."""
        return bool(self._running or self._waiting)

    def submit(self, request: GenerationRequest, sink: Sink, now: float) -> None:
        """Queue a checked request; a full queue fails it."""
        if len(self._waiting) + request.sampling.choices > self.pace.max_waiting:
            sink.fail(EngineOverloadedError("the engine's queue is full"))
            return
        if not self.busy:
            self._last_step = now
        hashes = block_hashes(
            request.prompt, salt=request.cache_salt, adapter=request.adapter, block_tokens=self._block_tokens
        )
        limit = max(request.max_tokens(self._max_model_tokens), 1)
        thoughts = thought(request.prompt, self.pace.think_tokens, self._tape, self._tokenizer)
        sequences = []
        for choice in range(request.sampling.choices):
            natural = max(0, natural_length(seed_of(request, choice), self.pace.answer_tokens) - request.continued)
            speaker = Speaker(request, choice, limit, natural, self._tape, self._tokenizer, thoughts)
            self._arrivals += 1
            sequence = _Sequence(request, choice, sink, speaker, hashes, self._arrivals)
            sequences.append(sequence)
            heapq.heappush(self._waiting, (request.priority, sequence.order, sequence))
        self._requests[request.request_id] = sequences
        self._counters.prompt_tokens += len(request.prompt)

    def step(self, now: float) -> None:
        """End the step under way and begin the next: every running sequence that is past its prefill gets a token."""
        self._last_step = now
        self._read_chunks()
        self._admit(now, self._plan_chunks())
        for sequence in list(self._running):
            if sequence.unread or sequence.ready_at > now or sequence not in self._running:
                continue
            if sequence.room == 0 and not self._grow(sequence):
                continue
            sequence.room -= 1
            self._counters.generated_tokens += 1
            delta = sequence.speaker.next()
            if sequence.speaker.said == 1:
                delta = self._first(sequence, delta)
            if delta.finish is not None:
                self._leave(sequence)
            sequence.sink.push(delta)

    def next_step_at(self, now: float) -> float | None:
        """When to step again, given that one has just been done at `now`. None: nothing to do until a submit."""
        if not self._running:
            return now + self.pace.step_s if self._waiting else None
        ends = now + self.pace.step_s + self.pace.prefill_s(self._step_prefill)
        if self._step_prefill:
            return ends
        return max(min(sequence.ready_at for sequence in self._running), ends)

    def abort(self, request_id: str) -> None:
        """End a request's choices with ABORT."""
        for sequence in self._remove(request_id):
            sequence.sink.push(Delta(sequence.choice, "", 0, FinishReason.ABORT))

    def fail(self, request_id: str, error: EngineError) -> None:
        """End a request as a whole."""
        for sequence in self._remove(request_id)[:1]:
            sequence.sink.fail(error)

    def request_ids(self, adapter: str | None = None) -> list[str]:
        """Unfinished requests; of one adapter, when named."""
        return [
            request_id
            for request_id, sequences in self._requests.items()
            if adapter is None or sequences[0].request.adapter == adapter
        ]

    def load(self, now: float) -> EngineLoad:
        """How busy it is."""
        return EngineLoad(
            running=len(self._running),
            waiting=len(self._waiting),
            max_running=self.pace.max_running,
            kv_usage=self._cache.usage,
            stalled_s=None if not self.busy or self._last_step is None else max(0.0, now - self._last_step),
            **asdict(self._counters),
        )

    def _read_chunks(self) -> None:
        """The chunks of the step that ended are computed."""
        for sequence in list(self._prefilling):
            sequence.unread -= sequence.chunk
            sequence.chunk = 0
            if not sequence.unread:
                del self._prefilling[sequence]

    def _plan_chunks(self) -> float:
        """Give each prefill its chunk of the step that begins; answer the tokens left for others."""
        self._step_prefill = 0
        if not self.pace.prefill_tokens_per_s:
            return math.inf
        decoding = len(self._running) - len(self._prefilling)
        room = max(1, self.pace.max_step_tokens - decoding)
        for sequence in self._prefilling:
            room -= self._plan_chunk(sequence, room)
        return room

    def _plan_chunk(self, sequence: _Sequence, room: float) -> int:
        sequence.chunk = int(min(sequence.unread, room))
        self._step_prefill += sequence.chunk
        return sequence.chunk

    def _admit(self, now: float, room: float) -> None:
        """Admit what fits into batch, cache and step. As in vLLM, whoever the step has no token for waits."""
        while self._waiting and len(self._running) < self.pace.max_running and room > 0:
            sequence = self._waiting[0][2]
            length = len(sequence.request.prompt) + sequence.speaker.said
            private = length // self._block_tokens + 1 - len(sequence.hashes)
            found = self._cache.acquire(sequence.hashes, private)
            if found is None:
                return
            heapq.heappop(self._waiting)
            cached = found * self._block_tokens
            sequence.private = private
            sequence.room = (len(sequence.hashes) + private) * self._block_tokens - length
            sequence.ready_at = now + self.pace.ttft_s * self.pace.slowness
            self._running[sequence] = None
            if self.pace.prefill_tokens_per_s:
                sequence.unread = length - cached
                self._prefilling[sequence] = None
                room -= self._plan_chunk(sequence, room)
            if not sequence.speaker.said:
                sequence.cached_tokens = cached
                self._counters.prefix_query_tokens += len(sequence.request.prompt)
                self._counters.prefix_hit_tokens += cached

    def _first(self, sequence: _Sequence, delta: Delta) -> Delta:
        """A choice's first delta, which also tells about the prompt."""
        request = sequence.request
        if request.sampling.max_tokens == 0:
            self._counters.generated_tokens -= 1
            delta = Delta(sequence.choice, "", 0, FinishReason.LENGTH)
        if request.sampling.prompt_logprobs is not None and sequence.choice == 0:
            told = prompt_logprobs(self._tokenizer, request.prompt, request.sampling.prompt_logprobs)
            delta = delta._replace(prompt_logprobs=told)
        return delta._replace(cached_tokens=sequence.cached_tokens)

    def _grow(self, sequence: _Sequence) -> bool:
        """One more block for a sequence, at the cost of the youngest if need be; False when that was itself."""
        while not self._cache.grow():
            youngest = max(self._running, key=lambda other: (other.request.priority, other.order))
            self._preempt(youngest)
            if youngest is sequence:
                return False
        sequence.private += 1
        sequence.room += self._block_tokens
        return True

    def _preempt(self, sequence: _Sequence) -> None:
        """Back to the queue; what it said stays said, its cache has to be computed anew."""
        self._drop(sequence)
        heapq.heappush(self._waiting, (sequence.request.priority, sequence.order, sequence))
        self._counters.preemptions += 1

    def _drop(self, sequence: _Sequence) -> None:
        del self._running[sequence]
        self._prefilling.pop(sequence, None)
        sequence.unread = sequence.chunk = 0
        self._cache.release(sequence.hashes, sequence.private)
        sequence.private = sequence.room = 0

    def _leave(self, sequence: _Sequence) -> None:
        """A choice is finished."""
        self._drop(sequence)
        siblings = self._requests[sequence.request.request_id]
        siblings.remove(sequence)
        if not siblings:
            del self._requests[sequence.request.request_id]

    def _remove(self, request_id: str) -> list[_Sequence]:
        """Take all unfinished choices of a request out, wherever they are."""
        gone = self._requests.pop(request_id, [])
        for sequence in gone:
            if sequence in self._running:
                self._drop(sequence)
        if any(entry[2] in gone for entry in self._waiting):
            self._waiting = [entry for entry in self._waiting if entry[2] not in gone]
            heapq.heapify(self._waiting)
        return gone
