"""What the inference service is made of."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from capstan.inference.v1 import inference_pb2_grpc
from chassis.kit import Kit
from services.inference import reasoning, tool_call_forms
from services.inference.adapter_shelf import AdapterShelf
from services.inference.drift import CounterDrift
from services.inference.engine_sim import SimEngine, SimOptions
from services.inference.engine_vllm import VllmEngine
from services.inference.engine_vllm_options import VllmOptions
from services.inference.health import Health
from services.inference.metrics import EngineState, Metrics
from services.inference.model_source import model_folder
from services.inference.preparation import Preparation
from services.inference.servicer import InferenceServicer
from services.inference.session import Limits, Shared
from services.inference.settings import Settings
from services.inference.sim_control import control
from services.inference.simulation import Pace
from services.inference.witness import witness

TEND_S = 0.1

LAST_WORDS_S = 1.0
"""How long before the end of its grace a replica dismisses what still runs."""
SIM_MAX_RUNNING = 64
SIM_MAX_MODEL_TOKENS = 8192


def simulator(settings: Settings) -> SimEngine:
    """The simulator as the settings want it."""
    pace = Pace(
        tokens_per_s=settings.sim_tokens_per_s,
        ttft_s=settings.sim_ttft_s,
        prefill_tokens_per_s=settings.sim_prefill_tokens_per_s,
        max_step_tokens=settings.sim_max_step_tokens,
        max_running=settings.max_running or SIM_MAX_RUNNING,
        max_waiting=settings.max_waiting,
        answer_tokens=settings.sim_answer_tokens,
        think_tokens=settings.sim_think_tokens,
    )
    return SimEngine(
        SimOptions(
            pace=pace,
            max_model_tokens=settings.max_model_tokens or SIM_MAX_MODEL_TOKENS,
            kv_blocks=settings.sim_kv_blocks,
            embedding_dimensions=settings.sim_embedding_dimensions if settings.runner == "pooling" else 0,
            max_adapters=settings.max_adapters,
            poison=settings.sim_poison,
        )
    )


async def vllm(settings: Settings, log: logging.Logger) -> VllmEngine:
    """VLLM as the settings want it. Raises ModelNotFoundError."""
    options = VllmOptions(
        model=await asyncio.to_thread(model_folder, settings.model, download=settings.download),
        pooling=settings.runner == "pooling",
        dtype=settings.dtype,
        max_model_tokens=settings.max_model_tokens,
        max_running=settings.max_running,
        max_waiting=settings.max_waiting,
        kv_cache_bytes=settings.kv_cache_bytes,
        gpu_memory_share=settings.gpu_memory_share,
        tensor_parallel=settings.tensor_parallel,
        pipeline_parallel=settings.pipeline_parallel,
        quantization=settings.quantization,
        enforce_eager=settings.enforce_eager,
        cpu_threads=settings.cpu_threads,
        max_adapters=settings.max_adapters,
        max_adapter_rank=settings.max_adapter_rank,
        reasoning_parser="" if settings.reasoning_parser == "none" else settings.reasoning_parser,
    )
    return VllmEngine(options, log=log)


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Load the model, which takes seconds to minutes, and register the servicer."""
    async with AsyncExitStack() as stack:
        engine = simulator(settings) if settings.engine == "simulator" else await vllm(settings, kit.log)
        began = kit.clock.monotonic()
        stack.push_async_callback(engine.close)
        await engine.start()
        kit.log.info("engine started", extra={"duration_ms": round((kit.clock.monotonic() - began) * 1000)})
        if isinstance(engine, SimEngine) and settings.sim_control:
            await stack.enter_async_context(control(engine, settings.sim_control))
        progress = kit.readiness.condition("making progress", ready=True)
        health = Health(
            engine,
            progress,
            lambda: kit.draining.started,
            stall_s=settings.stall_s,
            stall_exit_s=settings.stall_exit_s,
        )
        drift = CounterDrift(engine.load, lambda: servicer.generated, kit.log)
        metrics = Metrics(kit.registry, lambda: servicer.sessions, drift)
        shared = Shared(
            engine=engine,
            adapters=AdapterShelf(engine, kit.log),
            preparation=Preparation(
                engine.tokenizer,
                # The prefix cache lives and dies with this process, and so does its secret.
                salt_key=secrets.token_bytes(32),
                reasoning=reasoning.FORMS[settings.reasoning_parser],
                calls=tool_call_forms.FORMS[settings.tool_call_parser],
                max_model_tokens=engine.model.max_model_tokens,
            ),
            limits=Limits(
                waiting_deltas=settings.session_waiting_deltas,
                write_s=settings.session_write_s,
                inline_characters=settings.inline_characters,
                preparing=settings.max_preparing,
            ),
            observer=metrics,
            now=kit.clock.monotonic,
            new_call_id=lambda: kit.ids.new("call_"),
            log=kit.log,
            request_ids=set(),
            witness=await stack.enter_async_context(witness(settings.billing_address, kit))
            if settings.billing_address
            else None,
        )
        servicer = InferenceServicer(
            model=settings.model_name,
            shared=shared,
            health=health,
            clock=kit.clock,
            tasks=kit.tasks,
            ready_at=kit.clock.now(),
        )
        kit.registry.register(EngineState(settings.model_name, engine.load))
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, kit.server)
        tending = kit.tasks.spawn("tend sessions", _tend(kit, shared, health, servicer, drift, settings.drain_delay_s))
        stack.callback(tending.cancel)  # before the engine is closed, which it would take for dead
        yield


async def _tend(
    kit: Kit, shared: Shared, health: Health, servicer: InferenceServicer, drift: CounterDrift, drain_delay_s: float
) -> None:
    """Look after health and sessions until the engine is dead, which ends the process.

    A replica that was asked to stop says so at once and goes on taking requests for `drain_delay_s`: until all routers
    have heard it, some will still come. What still runs shortly before the end of the grace is sent elsewhere.
    """
    refuses_from: float | None = None
    dismissed = False
    while True:
        health.look()
        if kit.draining.started:
            now = kit.clock.monotonic()
            refuses_from = now + drain_delay_s if refuses_from is None else refuses_from
            shared.draining = now >= refuses_from
            grace_s = kit.draining.grace_s
            if not dismissed and now >= refuses_from + grace_s - min(LAST_WORDS_S, grace_s / 2):
                dismissed = True
                servicer.dismiss()
        servicer.tend()
        drift.look()
        await kit.clock.sleep(TEND_S)
