"""The simulated engine: batching, queueing, cache and preemption, on a clock turned by hand."""

from __future__ import annotations

import pytest

from services.inference.engine import Delta, FinishReason
from services.inference.errors import EngineError, EngineOverloadedError
from services.inference.request import GenerationRequest, Sampling
from services.inference.sim_vocabulary import SimTokenizer
from services.inference.simulation import Pace, Simulation

TOKENIZER = SimTokenizer()


class Ear:
    """What a request was told."""

    def __init__(self) -> None:
        self.deltas: list[Delta] = []
        self.error: EngineError | None = None

    def push(self, delta: Delta) -> None:
        self.deltas.append(delta)

    def fail(self, error: EngineError) -> None:
        self.error = error

    @property
    def tokens(self) -> int:
        return sum(delta.token_count for delta in self.deltas)


class World:
    """A simulation with its clock."""

    def __init__(self, pace: Pace, *, kv_blocks: int = 1000, max_model_tokens: int = 1000) -> None:
        self.simulation = Simulation(
            pace, max_model_tokens=max_model_tokens, kv_blocks=kv_blocks, block_tokens=16, tokenizer=TOKENIZER
        )
        self.now = 0.0
        self._names = 0

    def submit(self, prompt: int = 10, tokens: int = 100, *, priority: int = 0, salt: str = "", first: int = 1) -> Ear:
        ear = Ear()
        self._names += 1
        request = GenerationRequest(
            f"req_{self._names}",
            [first, *range(100, 100 + prompt - 1)],
            Sampling(max_tokens=tokens, ignore_eos=True),
            priority=priority,
            cache_salt=salt,
        )
        self.simulation.submit(request, ear, self.now)
        return ear

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            self.simulation.step(self.now)
            at = self.simulation.next_step_at(self.now)
            if at is None or at > end:
                self.now = end
                return
            self.now = at


def test_tokens_come_at_the_pace() -> None:
    world = World(Pace(tokens_per_s=10, ttft_s=1))
    ear = world.submit()
    world.run(0.99)
    assert ear.tokens == 0
    world.run(1.06)
    assert 10 <= ear.tokens <= 12


def test_a_slow_engine_is_slow_in_everything() -> None:
    world = World(Pace(tokens_per_s=10, ttft_s=1, slowness=10))
    ear = world.submit()
    world.run(9.9)
    assert ear.tokens == 0
    world.run(10.2)
    assert 10 <= ear.tokens <= 12


def test_a_long_prompt_takes_longer_unless_it_is_known() -> None:
    world = World(Pace(tokens_per_s=100, ttft_s=0, prefill_tokens_per_s=100))
    cold = world.submit(prompt=500, tokens=1)
    world.run(4.9)
    assert cold.tokens == 0
    world.run(0.2)
    assert cold.tokens == 1
    warm = world.submit(prompt=500, tokens=1)
    world.run(0.3)
    assert warm.tokens == 1
    assert warm.deltas[0].cached_tokens == 31 * 16


def test_prefills_wait_for_each_other() -> None:
    world = World(Pace(tokens_per_s=100, ttft_s=0, prefill_tokens_per_s=100, max_step_tokens=50))
    first, second = (world.submit(prompt=100, tokens=1, first=number) for number in (1, 2))
    world.run(0.1)
    assert (world.simulation.load(world.now).running, world.simulation.load(world.now).waiting) == (1, 1)
    world.run(1.1)
    assert (first.tokens, second.tokens) == (1, 0)
    world.run(1)
    assert second.tokens == 1


def test_others_speak_more_slowly_while_a_prompt_is_read() -> None:
    world = World(Pace(tokens_per_s=100, ttft_s=0, prefill_tokens_per_s=1000, max_step_tokens=51))
    speaker = world.submit(prompt=1, tokens=500)
    world.run(0.1)
    before = speaker.tokens
    world.submit(prompt=500, tokens=1, first=2)
    world.run(0.6)
    assert 9 <= speaker.tokens - before <= 12  # a step of 50 prompt tokens takes 0.06 s, one of none 0.01 s
    before = speaker.tokens
    world.run(0.3)
    assert 28 <= speaker.tokens - before <= 31


def test_a_prompt_that_is_being_read_is_no_secret_to_the_next() -> None:
    world = World(Pace(tokens_per_s=100, ttft_s=0, prefill_tokens_per_s=100, max_step_tokens=50))
    first, second = world.submit(prompt=100, tokens=1), world.submit(prompt=100, tokens=1)
    world.run(1.2)
    assert (first.deltas[0].cached_tokens, second.deltas[0].cached_tokens) == (0, 96)


def test_a_prompt_that_is_given_up_is_read_no_further() -> None:
    world = World(Pace(tokens_per_s=100, ttft_s=0, prefill_tokens_per_s=100, max_step_tokens=50))
    world.submit(prompt=900, tokens=1)
    second = world.submit(prompt=50, tokens=1, first=2)
    world.run(0.1)
    world.simulation.abort("req_1")
    world.run(1.3)
    assert second.tokens == 1
    assert world.simulation.load(world.now).kv_usage == 0


def test_only_so_many_run_and_the_rest_wait_in_order() -> None:
    world = World(Pace(tokens_per_s=10, ttft_s=0, max_running=2))
    ears = [world.submit(tokens=5) for _ in range(5)]
    world.run(0.35)
    load = world.simulation.load(world.now)
    assert (load.running, load.waiting) == (2, 3)
    assert [ear.tokens > 0 for ear in ears] == [True, True, False, False, False]
    world.run(10)
    assert [ear.tokens for ear in ears] == [5] * 5


def test_what_matters_more_overtakes_what_waits() -> None:
    world = World(Pace(tokens_per_s=10, ttft_s=0, max_running=1))
    _, waiting = world.submit(tokens=5), world.submit(tokens=5)
    urgent = world.submit(tokens=5, priority=-1)
    world.run(0.95)
    assert (urgent.tokens, waiting.tokens) == (5, 0)


def test_a_full_queue_refuses() -> None:
    world = World(Pace(max_running=1, max_waiting=2))
    for _ in range(2):
        assert world.submit().error is None
    assert isinstance(world.submit().error, EngineOverloadedError)


def test_the_cache_is_shared_under_one_salt_only() -> None:
    world = World(Pace(tokens_per_s=0, ttft_s=0))
    told = []
    for salt in ("a", "a", "b"):
        ear = world.submit(prompt=100, tokens=1, salt=salt)
        world.run(1)
        told.append(ear.deltas[0].cached_tokens)
    assert told == [0, 96, 0]
    load = world.simulation.load(world.now)
    assert (load.prefix_query_tokens, load.prefix_hit_tokens) == (300, 96)


def test_what_was_not_used_for_long_is_forgotten_first() -> None:
    world = World(Pace(tokens_per_s=0, ttft_s=0), kv_blocks=9, max_model_tokens=144)
    told = []
    for first in (1, 2, 1, 3, 1, 2):
        ear = world.submit(prompt=65, tokens=1, first=first)
        world.run(1)
        told.append(ear.deltas[0].cached_tokens)
    assert told == [0, 0, 64, 0, 64, 0]


def test_a_full_cache_sends_the_youngest_back_to_the_queue() -> None:
    world = World(Pace(tokens_per_s=10, ttft_s=0), kv_blocks=10, max_model_tokens=160)
    old, young = world.submit(prompt=60, tokens=60, first=1), world.submit(prompt=60, tokens=60, first=2)
    world.run(4)
    load = world.simulation.load(world.now)
    assert (load.running, load.waiting, load.preemptions) == (1, 1, 1)
    world.run(30)
    assert (old.tokens, young.tokens) == (60, 60)
    assert world.simulation.load(world.now).kv_usage == 0


def test_an_abort_ends_what_runs_and_what_waits() -> None:
    world = World(Pace(tokens_per_s=10, ttft_s=0, max_running=1))
    ears = [world.submit(), world.submit()]
    world.run(0.5)
    for name in ("req_1", "req_2", "req_3"):
        world.simulation.abort(name)
    assert [ear.deltas[-1].finish for ear in ears] == [FinishReason.ABORT] * 2
    assert not world.simulation.busy
    assert world.simulation.load(world.now).kv_usage == 0


def test_a_sink_may_abort_its_own_request() -> None:
    world = World(Pace(tokens_per_s=10, ttft_s=0))

    class Impatient(Ear):
        def push(self, delta: Delta) -> None:
            super().push(delta)
            if delta.finish is None:
                world.simulation.abort("req_0")

    impatient, other = Impatient(), world.submit(tokens=3)
    world.simulation.submit(GenerationRequest("req_0", [1, 2]), impatient, 0)
    world.run(2)
    assert [delta.finish for delta in impatient.deltas] == [None, FinishReason.ABORT]
    assert other.tokens == 3


def test_idling_is_no_stalling() -> None:
    world = World(Pace(tokens_per_s=10, ttft_s=0))
    world.submit(tokens=2)
    world.run(1000)
    assert world.simulation.load(world.now).stalled_s is None
    world.submit()
    assert world.simulation.load(world.now).stalled_s == 0
    assert world.simulation.load(world.now + 7).stalled_s == 7


def test_a_cache_too_small_for_one_request_is_refused() -> None:
    with pytest.raises(ValueError, match="one request"):
        World(Pace(), kv_blocks=10, max_model_tokens=161)
