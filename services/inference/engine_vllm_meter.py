"""vLLM's step statistics, summed up: called once per engine step, on the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from services.inference.engine import EngineLoad
from services.inference.progress import Progress

if TYPE_CHECKING:
    from vllm.v1.metrics.stats import IterationStats, SchedulerStats


class Meter:
    """What the engine said last, and sums since the start."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._progress = Progress()
        self._submitted = 0
        self._running = 0
        self._kv_usage = 0.0
        self._sums = dict.fromkeys(
            ("prefix_query_tokens", "prefix_hit_tokens", "prompt_tokens", "generated_tokens", "preemptions"), 0
        )
        self.max_running = 0

    def submitted(self, count: int) -> None:
        """So many sequences are in the engine now, running or waiting."""
        self._submitted = count
        if count:
            self._progress.began(self._now())
        else:
            self._progress.ended()

    def stepped(self, scheduler: SchedulerStats | None, iteration: IterationStats | None) -> None:
        """The engine made a step."""
        self._progress.stepped(self._now())
        if scheduler is not None:
            self._running = scheduler.num_running_reqs
            self._kv_usage = scheduler.kv_cache_usage
            self._sums["prefix_query_tokens"] += scheduler.prefix_cache_stats.queries
            self._sums["prefix_hit_tokens"] += scheduler.prefix_cache_stats.hits
        if iteration is not None:
            self._sums["prompt_tokens"] += iteration.num_prompt_tokens
            self._sums["generated_tokens"] += iteration.num_generation_tokens
            self._sums["preemptions"] += iteration.num_preempted_reqs

    def load(self) -> EngineLoad:
        """How busy the engine is.

        It reports only when it steps, so after the last request left its last report still names it: what was submitted
        bounds what can be running, and what is not running waits.
        """
        running = min(self._running, self._submitted)
        return EngineLoad(
            running=running,
            waiting=self._submitted - running,
            max_running=self.max_running,
            kv_usage=self._kv_usage if self._submitted else 0.0,
            stalled_s=self._progress.stalled_s(self._now()),
            **self._sums,
        )

    def logger_factory(self) -> Callable[..., Any]:
        """What vLLM asks for a logger of its statistics. Imports vLLM."""
        from vllm.v1.metrics.loggers import StatLoggerBase

        meter = self

        class StepLogger(StatLoggerBase):  # type: ignore[misc]  # vLLM has no types for mypy here
            """Tells the meter."""

            def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
                pass

            def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
                meter.stepped(scheduler_stats, iteration_stats)

            def log_engine_initialized(self) -> None:
                pass

        return StepLogger
