"""The simulator as an engine: `simulation` on the event loop's clock, with faults on command.

For load tests, fault tests, autoscaling tests and laptops. One timer drives all requests, and a token costs about a
microsecond, so that it can outrun what it is used to measure. What it cannot do it refuses: structured output needs a
real model. Penalties are accepted and change nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from services.inference.engine import EngineLoad, ModelDescription, Sink, Vector
from services.inference.errors import (
    AdapterConflictError,
    AdapterMissingError,
    AdaptersFullError,
    EngineDeadError,
    EngineError,
    InvalidRequestError,
    UnknownAdapterError,
)
from services.inference.request import EmbeddingRequest, GenerationRequest, check, check_prompt
from services.inference.sim_vocabulary import SimTokenizer
from services.inference.simulation import Pace, Simulation

_WHOLE = frozenset({"max_running", "max_waiting", "max_step_tokens", "answer_tokens", "think_tokens"})
_MAY_BE_0 = frozenset({"max_waiting", "think_tokens"})


@dataclass(frozen=True, slots=True)
class SimOptions:
    """What is fixed while it runs; `pace` can be changed."""

    pace: Pace = field(default_factory=Pace)
    max_model_tokens: int = 8192
    kv_blocks: int = 4096
    block_tokens: int = 16
    embedding_dimensions: int = 0
    """Greater than 0: it makes vectors instead of text."""
    max_adapters: int = 8
    poison: str = ""
    """A prompt that holds this text kills the process. Empty: none does."""


def die() -> None:
    """What a crash looks like from outside: no goodbye, no clean-up."""
    os._exit(137)


class SimEngine:
    """An engine that invents its answers."""

    def __init__(self, options: SimOptions, *, kill: Callable[[], None] = die) -> None:
        self._options = options
        self._kill = kill
        self._tokenizer = SimTokenizer()
        self._simulation = Simulation(
            options.pace,
            max_model_tokens=options.max_model_tokens,
            kv_blocks=options.kv_blocks,
            block_tokens=options.block_tokens,
            tokenizer=self._tokenizer,
        )
        self._adapters: dict[str, str] = {}
        self._poison = options.poison
        self._frozen = False
        self._dead = False
        self._timer: asyncio.Handle | None = None
        self._due = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def model(self) -> ModelDescription:
        """See `Engine`."""
        return ModelDescription(
            max_model_tokens=self._options.max_model_tokens,
            vocabulary_size=self._tokenizer.vocabulary_size,
            fingerprint="fp_simulator",
            embedding_dimensions=self._options.embedding_dimensions,
            shortens_embeddings=self._options.embedding_dimensions > 0,
            max_adapters=self._options.max_adapters,
        )

    @property
    def tokenizer(self) -> SimTokenizer:
        """See `Engine`."""
        return self._tokenizer

    @property
    def adapters(self) -> tuple[str, ...]:
        """See `Engine`."""
        return tuple(sorted(self._adapters))

    @property
    def pace(self) -> Pace:
        """The knobs as they stand."""
        return self._simulation.pace

    async def start(self) -> None:
        """See `Engine`."""
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """See `Engine`."""
        self.fail()

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        """See `Engine`."""
        try:
            self._admit(request)
        except EngineError as error:
            sink.fail(error)
            return
        loop = self._running_loop()
        idle = not self._simulation.busy
        self._simulation.submit(request, sink, loop.time())
        if idle:
            self._schedule(loop.time())

    def abort(self, request_id: str) -> None:
        """See `Engine`."""
        self._simulation.abort(request_id)

    async def embed(self, request: EmbeddingRequest) -> list[Vector]:
        """See `Engine`."""
        self.check()
        if not self.model.embeds:
            raise InvalidRequestError("this model makes no vectors", param="model")
        for tokens in request.inputs:
            check_prompt(
                tokens,
                room=0,
                max_model_tokens=self._options.max_model_tokens,
                vocabulary_size=self._tokenizer.vocabulary_size,
            )
            self._look_for_poison(tokens)
        pace = self.pace
        await asyncio.sleep(pace.ttft_s * pace.slowness + pace.prefill_s(sum(map(len, request.inputs))))
        return [self._vector(tokens) for tokens in request.inputs]

    async def load_adapter(self, name: str, path: str) -> None:
        """See `Engine`."""
        self.check()
        if name in self._adapters:
            if self._adapters[name] != path:
                raise AdapterConflictError("the name is taken by another adapter", name=name)
            return
        if not await asyncio.to_thread(os.path.isdir, path):
            raise AdapterMissingError("there is no such folder", name=name)
        if len(self._adapters) >= self._options.max_adapters:
            raise AdaptersFullError("every adapter slot is in use", name=name)
        self._adapters[name] = path

    async def unload_adapter(self, name: str) -> None:
        """See `Engine`."""
        self._adapters.pop(name, None)
        for request_id in self._simulation.request_ids(name):
            self._simulation.fail(request_id, UnknownAdapterError("the adapter was taken away", name=name))

    def load(self) -> EngineLoad:
        """See `Engine`."""
        return self._simulation.load(self._running_loop().time())

    def check(self) -> None:
        """See `Engine`."""
        if self._dead:
            raise EngineDeadError("the simulator was told to die")

    # Faults and knobs, for `sim_control` and for tests.

    def turn(self, **knobs: float) -> None:
        """Change knobs of `Pace`. Raises ValueError for an unknown or senseless one."""
        unknown = sorted(set(knobs) - set(Pace.__dataclass_fields__))
        if unknown:
            raise ValueError(f"there is no knob {unknown[0]}")
        for name, value in knobs.items():
            if not 0 <= value < math.inf or (value < 1 and name in _WHOLE - _MAY_BE_0):
                raise ValueError(f"{name} cannot be {value}")
        whole = {name: int(value) for name, value in knobs.items() if name in _WHOLE}
        self._simulation.pace = Pace(**{**asdict(self.pace), **knobs, **whole})

    def hang(self) -> None:
        """Stay alive, take requests, and produce nothing until `resume`."""
        self._frozen = True

    def resume(self) -> None:
        """End a `hang`."""
        if self._frozen:
            self._frozen = False
            self._schedule(self._running_loop().time())

    def poison(self, text: str) -> None:
        """From now on a prompt that holds this text kills the process; empty: none."""
        self._poison = text

    def fail(self) -> None:
        """Die as an engine while the process lives on: everything fails with EngineDeadError."""
        self._dead = True
        for request_id in self._simulation.request_ids():
            self._simulation.fail(request_id, EngineDeadError("the simulator was told to die"))

    def kill(self) -> None:
        """Take the process down."""
        self._kill()

    def _admit(self, request: GenerationRequest) -> None:
        self.check()
        if self.model.embeds:
            raise InvalidRequestError("this model generates no text", param="model")
        check(
            request,
            max_model_tokens=self._options.max_model_tokens,
            vocabulary_size=self._tokenizer.vocabulary_size,
        )
        if request.constraint is not None:
            raise InvalidRequestError("the simulator cannot shape its answers", param="response_format")
        if request.adapter and request.adapter not in self._adapters:
            raise UnknownAdapterError("no such adapter is loaded", name=request.adapter)
        self._look_for_poison(request.prompt)

    def _look_for_poison(self, prompt: Sequence[int]) -> None:
        if self._poison and self._poison in self._tokenizer.decode(prompt):
            self.kill()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise EngineDeadError("the engine was not started")
        return self._loop

    def _schedule(self, at: float) -> None:
        loop = self._running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._due = at
        self._timer = loop.call_soon(self._step) if at <= loop.time() else loop.call_at(at, self._step)

    def _step(self) -> None:
        self._timer = None
        if self._frozen or self._dead:
            return
        now = self._running_loop().time()
        self._simulation.step(now)
        # Counting from when this step was due keeps the pace although timers are late, unless it fell far behind.
        on_time = now - self._due < self.pace.step_s
        at = self._simulation.next_step_at(self._due if on_time else now)
        if at is not None:
            self._schedule(at)

    def _vector(self, tokens: Sequence[int]) -> Vector:
        """A direction that depends on the tokens alone."""
        randomness = random.Random(hashlib.blake2b(repr(tokens).encode()).digest())  # noqa: S311 - no secret
        values = [randomness.gauss(0, 1) for _ in range(self._options.embedding_dimensions)]
        length = math.sqrt(sum(value * value for value in values))
        return array("f", [value / length for value in values])
