"""What an engine is: the interface both engines implement, and the values that come out of it.

An engine *pushes*: `submit` names a sink, and the engine calls it as tokens appear, from the event loop, never after
the request's end. A pull interface would cost one task switch per token and would hide which tokens belong to one step;
with sinks a step of 200 running requests is 200 plain calls, which `frames` turns into one message. `stream` gives the
pull view to whoever wants it.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias

from services.inference.errors import EngineError
from services.inference.request import EmbeddingRequest, GenerationRequest
from services.inference.tokenizer import Tokenizer

NOT_KNOWN = -9999.0
"""Stands for a log probability that was not computed (OpenAI's value)."""

Vector: TypeAlias = "array[float]"
"""float32 values, length 1 in the Euclidean sense."""


class FinishReason(StrEnum):
    """Why a choice ended."""

    STOP = "stop"
    """The model's own end, or a stop text."""
    LENGTH = "length"
    """As many tokens as were allowed, or the context's end."""
    ABORT = "abort"
    """`Engine.abort` was called."""


class LogprobEntry(NamedTuple):
    """A token and its natural-log probability."""

    token: bytes
    """A token can be part of a character, so it is bytes."""
    logprob: float


class TokenLogprobs(NamedTuple):
    """The chosen token at one place, and the likeliest ones there, likeliest first."""

    chosen: LogprobEntry
    top: tuple[LogprobEntry, ...] = ()


class Delta(NamedTuple):
    """News of one choice. A tuple, because an engine makes one per token."""

    choice: int
    """From 0."""
    text: str
    """New text: whole characters, no stop text. Empty while a character or a possible stop text is incomplete."""
    token_count: int
    """Tokens this delta stands for; those that ended the choice (end token, stop text) count."""
    finish: FinishReason | None = None
    """Set in the choice's last delta."""
    logprobs: Sequence[TokenLogprobs] | None = None
    """One per token, when asked for."""
    prompt_logprobs: Sequence[TokenLogprobs] | None = None
    """One per prompt token (the first: NOT_KNOWN), when asked for, with the request's first delta."""
    cached_tokens: int = 0
    """Prompt tokens found in the prefix cache; told with the first delta of each choice, then unspecified."""


class Sink(Protocol):
    """Where a request's news go."""

    def push(self, delta: Delta) -> None:
        """Take news. Must not block and must not raise."""

    def fail(self, error: EngineError) -> None:
        """Take the end of the whole request: no more deltas will come for any choice."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy the engine is."""

    running: int
    """Sequences in the batch."""
    waiting: int
    """Sequences that wait for a place in it."""
    max_running: int
    kv_usage: float
    """Share of the KV cache in use, 0 to 1."""
    prefix_query_tokens: int = 0
    """Prompt tokens looked up in the prefix cache since the start."""
    prefix_hit_tokens: int = 0
    """Those that were found."""
    prompt_tokens: int = 0
    """Prompt tokens of finished or running requests since the start."""
    generated_tokens: int = 0
    """Tokens generated since the start."""
    preemptions: int = 0
    """Sequences thrown out of the batch for want of KV cache, since the start."""
    stalled_s: float | None = None
    """Time since the last step while there is work. None: there is none."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What the engine serves."""

    max_model_tokens: int
    """Prompt and completion together."""
    vocabulary_size: int
    fingerprint: str
    """"fp_…": changes with engine, weights, precision and parallelism."""
    embedding_dimensions: int = 0
    """Length of its vectors; 0: it generates text."""
    shortens_embeddings: bool = False
    """True when a vector's beginning is itself a good vector (Matryoshka training)."""
    max_adapters: int = 0
    """Adapters loaded at once."""

    @property
    def embeds(self) -> bool:
        """Whether it makes vectors; else it generates text."""
        return self.embedding_dimensions > 0


class Engine(Protocol):
    """One model, ready to run. All methods are called from one event loop."""

    @property
    def model(self) -> ModelDescription:
        """What is served. Only after `start`."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's vocabulary and chat template. Only after `start`."""

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of adapters that requests may use, sorted."""

    async def start(self) -> None:
        """Load the model: seconds to minutes. Raises EngineDeadError."""

    async def close(self) -> None:
        """Free everything; running requests fail with EngineDeadError."""

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        """Run a request. Whatever is wrong with it reaches `sink.fail`, possibly before this returns.

        Each choice ends with exactly one delta that has `finish`, unless the request fails.
        """

    def abort(self, request_id: str) -> None:
        """Stop a request; its unfinished choices end with ABORT. Unknown ids are ignored."""

    async def embed(self, request: EmbeddingRequest) -> list[Vector]:
        """Make one vector per input.

        Raises InvalidRequestError, EngineOverloadedError, GenerationFailedError, EngineDeadError.
        """

    async def load_adapter(self, name: str, path: str) -> None:
        """Make the adapter in folder `path` usable as `name`; the same again does nothing.

        Raises AdapterRejectedError, AdapterConflictError, AdaptersFullError, EngineDeadError.
        """

    async def unload_adapter(self, name: str) -> None:
        """Take the adapter away; its requests fail with UnknownAdapterError. Unknown names are ignored."""

    def load(self) -> EngineLoad:
        """How busy it is now."""

    def check(self) -> None:
        """Raise EngineDeadError when the process has to be restarted. Cheap."""


class _QueueSink:
    """A sink that keeps what comes until it is asked for; bounded by the request's own max_tokens."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[Delta | EngineError] = asyncio.Queue()

    def push(self, delta: Delta) -> None:
        self.news.put_nowait(delta)

    def fail(self, error: EngineError) -> None:
        self.news.put_nowait(error)


async def stream(engine: Engine, request: GenerationRequest) -> AsyncGenerator[Delta, None]:
    """Yield a request's deltas; leaving early aborts it. Raises what the engine's sink would have been told."""
    sink = _QueueSink()
    open_choices = max(request.sampling.choices, 1)  # the engine refuses what is less
    engine.submit(request, sink)
    try:
        while open_choices:
            news = await sink.news.get()
            if isinstance(news, EngineError):
                open_choices = 0
                raise news
            open_choices -= news.finish is not None
            yield news
    finally:
        if open_choices:
            engine.abort(request.request_id)
