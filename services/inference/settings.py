"""What the inference service can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from chassis.settings import ServiceSettings, service_config


class Settings(ServiceSettings):
    """Read once from `CAPSTAN_INFERENCE_…`. Settings of the engine that was not chosen have no effect."""

    model_config = service_config("inference")

    model_name: str
    """Name clients use for the model, e.g. "llama-3.1-8b"."""

    billing_address: str = ""
    """gRPC address of billing, which is told what the engine counted for each request. Empty: nobody is told, and what
    a gateway that dies had running is billed by its own last checkpoint."""

    engine: Literal["vllm", "simulator"] = "vllm"
    """vllm: a real model. simulator: invented answers at a chosen speed, for load and fault tests."""

    model: str = ""
    """The model's files: a folder, `package://package_name/folder`, or a name on the Hugging Face hub. Required for
    vllm."""

    download: bool = False
    """True: a model that is not in the cache is downloaded from the hub when the process starts. False: nothing is ever
    downloaded."""

    runner: Literal["generate", "pooling"] = "generate"
    """generate: text. pooling: vectors."""

    reasoning_parser: Literal["none", "deepseek_r1", "qwen3", "mistral"] = "none"
    """How the model marks its thoughts, which are told apart from the answer. deepseek_r1, qwen3: as <think>…</think>.
    mistral: as [THINK]…[/THINK]. none: it does not think out loud. The names are those of vLLM's option."""

    tool_call_parser: Literal["hermes", "llama3_json", "mistral", "pythonic", "none"] = "hermes"
    """How the model writes function calls, which depends on what it was trained for. hermes: JSON in <tool_call> tags
    (Hermes, Qwen 2.5 and 3, the demonstration model). llama3_json: JSON at the beginning of a line (Llama 3.1 to 3.3).
    mistral: after [TOOL_CALLS]. pythonic: a list of Python calls (Llama 3.2 and 4, ToolACE). none: it calls none, and
    requests with tools are refused. The names are those of vLLM's option."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Precision. auto: the model's own; float32 for vectors on CPU."""

    max_model_tokens: int | None = None
    """Longest prompt plus completion. Unset: what the model was trained for, which may need more KV cache than there
    is."""

    max_running: int | None = None
    """Sequences run at once at the most. Unset: 64 in the simulator, vLLM's choice (256) in vLLM."""

    max_waiting: int = 1024
    """Sequences that may wait in the engine; more are refused as OVERLOADED. With several routers, not below so many
    times what runs at once: each learns of the others' latest placements only from the next report."""

    kv_cache_bytes: int | None = None
    """Memory for the KV cache. Unset: 256 MiB on CPU, and on GPU what `gpu_memory_share` leaves."""

    gpu_memory_share: float | None = None
    """Share of each GPU's memory that the engine may use, 0 to 1. Unset: vLLM's choice."""

    tensor_parallel: int = 1
    """GPUs that share each layer."""

    pipeline_parallel: int = 1
    """Groups of GPUs that share the model's layers."""

    quantization: str | None = None
    """vLLM's name of the weights' quantization. Unset: as the model's files say."""

    enforce_eager: bool | None = None
    """True: nothing is compiled. Unset: true on CPU, where compiling needs a C++ compiler at run time; false on GPU."""

    cpu_threads: int | None = None
    """Threads for the model on CPU. Unset: all usable cores but one."""

    max_adapters: int = 0
    """LoRA adapters loaded at once. 0: none. With adapters a prompt's log probabilities are not available."""

    max_adapter_rank: int = 16
    """Greatest rank of an adapter."""

    stall_s: float = 60.0
    """Time without an engine step, while there is work, after which the replica turns unready."""

    stall_exit_s: float = 300.0
    """Time after which a process with such an engine ends, so that it is restarted."""

    session_write_s: float = 15.0
    """Time a gateway may take to read a frame before its session is broken and its requests are aborted."""

    session_waiting_deltas: int = 65_536
    """Deltas that may wait for a gateway before the same happens."""

    inline_characters: int = 16_384
    """Prompts up to this length are tokenized at once, longer ones in a thread. 16,384 characters take about 5 ms."""

    max_preparing: int = 64
    """Long prompts that may be in tokenization at once; more are refused as OVERLOADED."""

    sim_tokens_per_s: float = 50.0
    """Simulator: tokens per second and sequence. 0: as fast as it can."""

    sim_ttft_s: float = 0.05
    """Simulator: time to the first token of an empty prompt, seconds."""

    sim_prefill_tokens_per_s: float = 0.0
    """Simulator: prompt tokens per second that are not in the cache, of all requests together; they make the steps in
    which they are computed longer. 0: they take no time."""

    sim_max_step_tokens: int = Field(default=2048, ge=1)
    """Simulator: tokens that a step computes at the most, one for each running request and the rest for prompts. What
    does not fit goes on in the next step. Means nothing while prompts take no time."""

    sim_answer_tokens: int = 64
    """Simulator: mean length of an answer that nothing cuts short."""

    sim_think_tokens: int = 0
    """Simulator: length of a thought in <think> tags before each answer, in tokens. 0: it does not think. A
    `reasoning_parser` tells thought from answer."""

    sim_kv_blocks: int = 4096
    """Simulator: blocks of 16 tokens in the KV cache."""

    sim_embedding_dimensions: int = 384
    """Simulator: length of its vectors, with the runner `pooling`."""

    sim_poison: str = ""
    """Simulator: a prompt that holds this text kills the process. Empty: none does."""

    sim_control: str = ""
    """Simulator: where its knobs and faults can be turned while it runs, `unix:/path`. Empty: nowhere."""

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.engine == "vllm" and not self.model:
            raise ValueError("`model` is required for vllm")
        if self.sim_control and not self.sim_control.startswith("unix:/"):
            raise ValueError("`sim_control` must be `unix:/absolute/path`")
        return self
