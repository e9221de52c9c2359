"""Several routers look after one model; what they do to it together, in turned time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator

from chassis.clock import ManualClock
from services.router.deployments import ScaleConflictError, ScaleError
from services.router.settings import Sleep
from services.router.sleep import Scale
from services.router.sleeper import LONGEST_PAUSE_S, Sleeper
from tests.unit.services.router.pools import Pool

RULE = Sleep(deployment="model-chat", idle_s=60)


class Cluster:
    """A Deployment as the API server keeps it. Knobs: `away`, and `meanwhile`: what another does before a change."""

    def __init__(self, count: int = 0) -> None:
        self.count = self.wanted = count
        self.changes: list[int] = []
        self.asked = 0
        self.away = False
        self.meanwhile: list[int] = []
        self._version = 1

    def resize(self, count: int) -> None:
        """Somebody else sets how many pods it shall have."""
        self.wanted = count
        self._version += 1

    async def scale(self, name: str) -> Scale:
        assert name == RULE.deployment
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise ScaleError("503")
        return Scale(self.wanted, self.count, str(self._version))

    async def set_count(self, name: str, count: int, version: str) -> None:
        await asyncio.sleep(0)
        if self.meanwhile:
            self.resize(self.meanwhile.pop())
        if version != str(self._version):
            raise ScaleConflictError("somebody else changed it")
        self.changes.append(count)
        self.resize(count)


class Routers:
    """Routers that share nothing but the cluster and what replicas tell. `waiting`: those where somebody waits."""

    def __init__(self, cluster: Cluster, count: int = 2, pods: int = 0) -> None:
        self.clock = ManualClock(1000.0)
        self.results: Counter[tuple[str, str]] = Counter()
        self.pools = [Pool(pods) for _ in range(count)]
        self.waiting: set[int] = set()
        self.sleepers = [self._sleeper(cluster, number) for number in range(count)]

    def _sleeper(self, cluster: Cluster, number: int) -> Sleeper:
        return Sleeper(
            "chat",
            RULE,
            cluster,
            wanted=lambda: number in self.waiting,
            replicas=lambda: self.pools[number].replicas.serving("chat"),
            stale_after_s=float("inf"),
            scaled=lambda model, state, result: self.results.update([(state, result)]),
            clock=self.clock,
            log=logging.getLogger("test"),
        )

    def hear(self, replica_id: str, idle_s: float) -> None:
        """All routers know a replica, and what it tells."""
        for pool in self.pools:
            if pool.replicas.get(replica_id) is None:
                pool.add(replica_id)
            pool.report(replica_id, idle_s=idle_s)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(each.run()) for each in self.sleepers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def test_a_request_at_one_router_wakes_a_model_once_and_no_other_puts_it_to_sleep_while_it_loads() -> None:
    cluster = Cluster()
    routers = Routers(cluster, count=3)
    routers.waiting = {1}
    async with routers.at_work():
        await routers.clock.advance(3600)  # an hour of loading: far longer than it may be unused
    assert cluster.changes == [1]


async def test_all_routers_where_somebody_waits_wake_it_together_once() -> None:
    cluster = Cluster()
    routers = Routers(cluster, count=3)
    routers.waiting = {0, 1, 2}
    async with routers.at_work():
        await routers.clock.advance(60)
    assert cluster.changes == [1]


async def test_a_model_is_asleep_after_its_idle_time_and_not_before() -> None:
    cluster = Cluster(1)
    routers = Routers(cluster)
    async with routers.at_work():
        routers.hear("r0", idle_s=59)
        await routers.clock.advance(10)
        assert cluster.changes == []
        routers.hear("r0", idle_s=60)
        await routers.clock.advance(10)
    assert cluster.changes == [0]


async def test_the_loss_of_any_router_leaves_the_others_to_do_it() -> None:
    cluster = Cluster(1)
    routers = Routers(cluster, count=2)
    del routers.sleepers[0]
    async with routers.at_work():
        routers.hear("r0", idle_s=61)
        await routers.clock.advance(10)
    assert cluster.changes == [0]


async def test_a_sleep_between_whose_reading_and_writing_the_autoscaler_acts_is_not_done() -> None:
    cluster = Cluster(1)
    routers = Routers(cluster, count=1)
    routers.hear("r0", idle_s=61)
    cluster.meanwhile = [3]
    assert await routers.sleepers[0].look() is False
    assert (cluster.wanted, cluster.changes) == (3, [])
    assert routers.results == {("asleep", "conflict"): 1}


async def test_a_wake_does_not_undo_what_another_has_done_since() -> None:
    cluster = Cluster()
    routers = Routers(cluster, count=1)
    routers.waiting = {0}
    cluster.meanwhile = [4]
    assert await routers.sleepers[0].look() is False
    assert cluster.wanted == 4


async def test_while_the_api_server_is_away_it_is_asked_ever_less_often_and_then_the_model_is_woken() -> None:
    cluster = Cluster()
    routers = Routers(cluster, count=1)
    routers.waiting = {0}
    cluster.away = True
    async with routers.at_work():
        await routers.clock.advance(600)
        assert cluster.asked <= 600 / LONGEST_PAUSE_S + 10
        assert routers.results == {("awake", "failed"): cluster.asked}
        cluster.away = False
        await routers.clock.advance(LONGEST_PAUSE_S)
    assert cluster.changes == [1]


async def test_a_model_that_nobody_wants_and_nothing_serves_costs_the_api_server_nothing() -> None:
    cluster = Cluster()
    routers = Routers(cluster)
    async with routers.at_work():
        await routers.clock.advance(300)
    assert cluster.asked == 0
