"""What vLLM is started with: the environment it reads when imported, and its arguments. Imports nothing of vLLM.

One set of options serves CPU and GPU: `_CPU_ENVIRONMENT` and `_cpu_arguments` hold all that is only for CPU.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",  # its warnings are advice; set it to INFO to see what it chose
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would copy gRPC's threads' locks
    "TOKENIZERS_PARALLELISM": "false",
}
# Engine core and worker in one process without pinned threads: half the start-up and 400 MB less than the default, and
# it does not fight other processes for cores.
_CPU_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "GOMP_SPINCOUNT": "0",
}
_CPU_KV_CACHE_BYTES = 256 * 2**20
_CPU_BLOCK_TOKENS = 32  # the default of 128 never finds a short prompt in the prefix cache


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """What the engine is started with. None leaves the choice to vLLM."""

    model: str
    """Folder with config, weights and tokenizer."""
    pooling: bool = False
    """True: makes vectors instead of text."""
    dtype: str = "auto"
    max_model_tokens: int | None = None
    max_running: int | None = None
    max_waiting: int = 1024
    """Sequences beyond `max_running` that may be in the engine; more are refused."""
    kv_cache_bytes: int | None = None
    gpu_memory_share: float | None = None
    """Share of a GPU's memory for weights and cache, 0 to 1."""
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    quantization: str | None = None
    enforce_eager: bool | None = None
    """None: on CPU, where compiling needs a compiler at run time."""
    cpu_threads: int | None = None
    """None: all usable cores but one."""
    max_adapters: int = 0
    """LoRA adapters loaded at once; 0: none."""
    max_adapter_rank: int = 16
    reasoning_parser: str = ""
    """vLLM's parser that tells where thinking ends, so that structured output constrains only what follows."""


def on_cpu() -> bool:
    """Whether the installed vLLM is a CPU build. Imports nothing."""
    try:
        return "+cpu" in version("torch")
    except PackageNotFoundError:
        return True


def prepare_environment(options: VllmOptions, *, cpu: bool, environment: MutableMapping[str, str]) -> None:
    """Set what vLLM and torch read when they are imported; what the operator set stays."""
    wanted = dict(_ENVIRONMENT)
    if cpu:
        threads = options.cpu_threads or max(len(os.sched_getaffinity(0)) - 1, 1)
        wanted |= _CPU_ENVIRONMENT | {"OMP_NUM_THREADS": str(threads)}
        if _eager_on_cpu(options):
            # Even then some functions are compiled at their first use (log probabilities): it takes seconds while all
            # streams wait, and without a C++ compiler it kills the engine.
            wanted["TORCH_COMPILE_DISABLE"] = "1"
    for name, value in wanted.items():
        environment.setdefault(name, value)


def engine_arguments(options: VllmOptions, *, cpu: bool) -> dict[str, Any]:
    """The arguments of vLLM's AsyncEngineArgs; those that are None are left out."""
    arguments: dict[str, Any] = {
        "model": options.model,
        "runner": "pooling" if options.pooling else "generate",
        "dtype": options.dtype,
        "max_model_len": options.max_model_tokens,
        "max_num_seqs": options.max_running,
        "kv_cache_memory_bytes": options.kv_cache_bytes,
        "gpu_memory_utilization": options.gpu_memory_share,
        "tensor_parallel_size": options.tensor_parallel,
        "pipeline_parallel_size": options.pipeline_parallel,
        "quantization": options.quantization,
        "enforce_eager": options.enforce_eager,
        "disable_log_stats": True,
        "trust_remote_code": False,
        "use_tqdm_on_load": False,
    }
    if not options.pooling:
        arguments |= {"enable_prefix_caching": True, "scheduling_policy": "priority"}
    if options.reasoning_parser:
        arguments["structured_outputs_config"] = {"reasoning_parser": options.reasoning_parser}
    if options.max_adapters:
        # On CPU a base-model row in a batch with adapters reads the last adapter slot (index -1; vLLM pull requests
        # 48421 and 49656): one slot more than is ever loaded keeps that one empty, which adds zeros.
        slots = options.max_adapters + cpu
        arguments |= {"enable_lora": True, "max_loras": slots, "max_cpu_loras": slots}
        arguments["max_lora_rank"] = options.max_adapter_rank
    if cpu:
        arguments |= _cpu_arguments(options)
    return {name: value for name, value in arguments.items() if value is not None}


def _cpu_arguments(options: VllmOptions) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        # Without a size the engine wants nearly all memory of the machine and refuses to start.
        "kv_cache_memory_bytes": options.kv_cache_bytes or _CPU_KV_CACHE_BYTES,
        "enforce_eager": _eager_on_cpu(options),
        "gpu_memory_utilization": None,
        "block_size": _CPU_BLOCK_TOKENS,
    }
    if options.tensor_parallel == options.pipeline_parallel == 1:
        arguments["distributed_executor_backend"] = "uni"
    if options.pooling and options.dtype == "auto":
        arguments["dtype"] = "float32"  # small models: exact vectors cost little
    return arguments


def _eager_on_cpu(options: VllmOptions) -> bool:
    return options.enforce_eager is not False
