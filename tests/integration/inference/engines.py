"""What the engine tests share: starting each engine, and small adapters to load."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from services.inference.engine import Delta, Engine, stream
from services.inference.engine_sim import SimEngine, SimOptions
from services.inference.engine_vllm import VllmEngine
from services.inference.engine_vllm_options import VllmOptions
from services.inference.errors import EngineError
from services.inference.request import GenerationRequest
from services.inference.simulation import Pace

DEMO_MODEL = Path(__file__).parents[3] / "tools" / "demo_model" / "model"

needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")

# vLLM's and torch's own affairs.
third_party_warnings = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Unclosed context:ResourceWarning"
)


@contextlib.asynccontextmanager
async def started(engine: Engine) -> AsyncIterator[Engine]:
    """The engine, running until the block is left."""
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


def simulator(**options: object) -> SimEngine:
    """A simulator without pauses."""
    pace = Pace(tokens_per_s=0, ttft_s=0, max_running=8, max_waiting=20)
    return SimEngine(SimOptions(**{"pace": pace, "max_model_tokens": 1024, **options}))  # type: ignore[arg-type]


def vllm_chat(**options: object) -> VllmEngine:
    """The demonstration model on vLLM."""
    fixed = {"model": str(DEMO_MODEL), "max_model_tokens": 1024, "max_running": 8, "max_waiting": 20, "cpu_threads": 1}
    return VllmEngine(VllmOptions(**{**fixed, **options}))  # type: ignore[arg-type]


async def collect(engine: Engine, request: GenerationRequest) -> list[Delta]:
    """All deltas of a request."""
    return [delta async for delta in stream(engine, request)]


def text_of(deltas: Sequence[Delta], choice: int = 0) -> str:
    """A choice's whole text."""
    return "".join(delta.text for delta in deltas if delta.choice == choice)


def tokens_of(deltas: Sequence[Delta], choice: int = 0) -> int:
    """How many tokens a choice got."""
    return sum(delta.token_count for delta in deltas if delta.choice == choice)


class Ear:
    """A sink that listens, and says when it has heard enough."""

    def __init__(self, enough: int = 1) -> None:
        self.deltas: list[Delta] = []
        self.error: EngineError | None = None
        self._enough = enough
        self.heard = asyncio.Event()
        self.ended = asyncio.Event()

    def push(self, delta: Delta) -> None:
        assert not self.ended.is_set() or delta.choice > 0
        self.deltas.append(delta)
        if len(self.deltas) >= self._enough:
            self.heard.set()
        if delta.finish is not None:
            self.ended.set()

    def fail(self, error: EngineError) -> None:
        self.error = error
        self.heard.set()
        self.ended.set()


def chat(engine: Engine, text: str) -> list[int]:
    """Token ids of a conversation with one question."""
    rendered = engine.tokenizer.render_chat([{"role": "user", "content": text}], [])
    return engine.tokenizer.encode(rendered, framed=False)


def write_adapter(folder: Path, *, seed: int, scale: float = 0.5, rank: int = 8, width: int | None = None) -> str:
    """A LoRA adapter for the demonstration model with random weights, strong enough to change every answer."""
    from safetensors.numpy import save_file

    config = json.loads((DEMO_MODEL / "config.json").read_bytes())
    hidden, head = width or config["hidden_size"], config["head_dim"]
    sizes = {"q_proj": config["num_attention_heads"] * head, "v_proj": config["num_key_value_heads"] * head}
    random = np.random.default_rng(seed)
    weights = {}
    for layer in range(config["num_hidden_layers"]):
        for module, out in sizes.items():
            stem = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            weights[f"{stem}.lora_A.weight"] = (random.standard_normal((rank, hidden)) * scale).astype(np.float32)
            weights[f"{stem}.lora_B.weight"] = (random.standard_normal((out, rank)) * scale).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    about = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(DEMO_MODEL),
        "r": rank,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(sizes),
    }
    (folder / "adapter_config.json").write_text(json.dumps(about))
    return str(folder)
