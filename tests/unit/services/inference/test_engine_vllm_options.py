"""What vLLM is started with, on CPU and on GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from services.inference.engine_vllm_options import VllmOptions, engine_arguments, prepare_environment

CPU_ONLY = {"block_size", "distributed_executor_backend", "kv_cache_memory_bytes", "enforce_eager"}


def test_nothing_of_the_cpu_reaches_a_gpu() -> None:
    assert not CPU_ONLY & engine_arguments(VllmOptions("/m"), cpu=False).keys()


def test_on_cpu_the_cache_has_a_size_and_blocks_are_small() -> None:
    arguments = engine_arguments(VllmOptions("/m", gpu_memory_share=0.9), cpu=True)
    assert arguments["kv_cache_memory_bytes"] == 256 * 2**20
    assert arguments["block_size"] == 32
    assert arguments["enforce_eager"] is True
    assert arguments["distributed_executor_backend"] == "uni"
    assert "gpu_memory_utilization" not in arguments


def test_on_cpu_one_adapter_slot_stays_empty() -> None:
    assert engine_arguments(VllmOptions("/m", max_adapters=3), cpu=True)["max_loras"] == 4
    assert engine_arguments(VllmOptions("/m", max_adapters=3), cpu=False)["max_loras"] == 3
    assert "enable_lora" not in engine_arguments(VllmOptions("/m"), cpu=True)


def test_vectors_are_exact_on_cpu_unless_told_otherwise() -> None:
    assert engine_arguments(VllmOptions("/m", pooling=True), cpu=True)["dtype"] == "float32"
    assert engine_arguments(VllmOptions("/m", pooling=True, dtype="bfloat16"), cpu=True)["dtype"] == "bfloat16"
    assert engine_arguments(VllmOptions("/m", pooling=True), cpu=False)["dtype"] == "auto"


def test_several_devices_choose_their_own_executor() -> None:
    assert "distributed_executor_backend" not in engine_arguments(VllmOptions("/m", tensor_parallel=2), cpu=True)


def test_no_code_of_a_models_author_is_run() -> None:
    assert engine_arguments(VllmOptions("/m"), cpu=False)["trust_remote_code"] is False


def test_what_the_operator_set_stays() -> None:
    environment = {"VLLM_CPU_OMP_THREADS_BIND": "0-3"}
    prepare_environment(VllmOptions("/m", cpu_threads=3), cpu=True, environment=environment)
    assert environment["VLLM_CPU_OMP_THREADS_BIND"] == "0-3"
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["TORCH_COMPILE_DISABLE"] == "1"
    assert environment["HF_HUB_OFFLINE"] == "1"


def test_a_gpu_compiles_and_keeps_its_threads() -> None:
    environment: dict[str, str] = {}
    prepare_environment(VllmOptions("/m"), cpu=False, environment=environment)
    assert not {"OMP_NUM_THREADS", "TORCH_COMPILE_DISABLE", "VLLM_CPU_OMP_THREADS_BIND"} & environment.keys()
    assert environment["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"


def test_importing_the_engines_imports_no_vllm() -> None:
    code = "import sys, services.inference.app; assert not {'vllm', 'torch', 'transformers'} & set(sys.modules)"
    root = Path(__file__).parents[4]
    subprocess.run([sys.executable, "-c", code], cwd=root, env={"PYTHONPATH": f"{root}:{root}/protos/gen"}, check=True)
