"""Whether requests should come here: loaded, not draining, alive, and making progress when there is work."""

from __future__ import annotations

from collections.abc import Callable

from capstan.inference.v1 import inference_pb2
from chassis.readiness import Condition
from services.inference.engine import Engine
from services.inference.errors import EngineDeadError


class Health:
    """What the replica says about itself, to the router and to the probes."""

    def __init__(
        self,
        engine: Engine,
        progress: Condition,
        draining: Callable[[], bool],
        *,
        stall_s: float,
        stall_exit_s: float,
    ) -> None:
        """`stall_s`: time without a step, while there is work, after which the engine counts as hung.

        `stall_exit_s`: time after which it counts as dead.
        """
        self._engine = engine
        self._progress = progress
        self._draining = draining
        self._stall_s = stall_s
        self._stall_exit_s = stall_exit_s

    def look(self) -> None:
        """Update readiness. Raises EngineDeadError when the process has to be restarted."""
        self._engine.check()
        stalled_s = self._engine.load().stalled_s or 0.0
        if stalled_s > self._stall_exit_s:
            raise EngineDeadError(f"the engine made no step for {stalled_s:.0f} s")
        hung = stalled_s > self._stall_s
        if hung is self._progress.ready:
            self._progress.set(not hung, f"no step for {stalled_s:.0f} s" if hung else "")

    def load(self) -> inference_pb2.WatchLoadResponse:
        """How busy the replica is."""
        load = self._engine.load()
        answer = inference_pb2.WatchLoadResponse(
            running_count=load.running,
            waiting_count=load.waiting,
            kv_usage=load.kv_usage,
            prefix_query_tokens=load.prefix_query_tokens,
            prefix_hit_tokens=load.prefix_hit_tokens,
            generated_tokens=load.generated_tokens,
            accepting=self._progress.ready and not self._draining(),
            adapters=self._engine.adapters,
            max_running_count=load.max_running,
        )
        if load.stalled_s is not None:
            answer.stalled_for.FromNanoseconds(int(load.stalled_s * 1e9))
        return answer
