"""The composition root of router."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from capstan.router.v1 import router_pb2_grpc
from chassis.clock import Clock
from chassis.kit import Kit
from services.router.ejection import EjectionRules
from services.router.metrics import Metrics
from services.router.models import Catalogue
from services.router.placement import Placements
from services.router.policies import POLICIES
from services.router.pools import Replicas
from services.router.replicas import Kind, Rules
from services.router.replicas_page import PATH, ReplicasPage
from services.router.servicer import RouterServicer
from services.router.settings import Settings
from services.router.waiting_room import QueueRules, WaitingRoom
from services.router.watch import Watch

_EXPIRY_INTERVAL_S = 10.0


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Serve router. It is ready at once: a request that comes before a replica was heard finds no capacity, for now."""
    replicas = Replicas(rules(settings))
    expected = {name: Kind(kind) for name, kind in settings.expected_models.items()}
    catalogue = Catalogue(settings.aliases, expected, kit.clock.now(), fallbacks=settings.fallbacks)
    placements = Placements(
        replicas,
        catalogue,
        expiry_s=settings.placement_expiry_s,
        policy=POLICIES[settings.policy],
        policies={model: POLICIES[policy] for model, policy in settings.policies.items()},
    )
    room = WaitingRoom(placements, QueueRules(settings.queue_capacity, settings.queue_ageing_s), kit.clock)
    metrics = Metrics(kit.registry, replicas, room, kit.clock.monotonic)
    servicer = RouterServicer(placements, room, replicas, catalogue, metrics, kit.clock)
    router_pb2_grpc.add_RouterServiceServicer_to_server(servicer, kit.server)
    for place in settings.all_replicas():
        replica = replicas.add(place.id, place.address)
        watch = Watch(
            replica,
            replicas,
            catalogue,
            room.look,
            interval_s=settings.load_interval_s,
            clock=kit.clock,
            log=kit.log,
            connect=kit.connect,
        )
        kit.tasks.spawn(f"watch {place.id}", watch.run())
    kit.ops.mount(PATH, ReplicasPage(replicas, kit.clock.monotonic))
    kit.tasks.spawn("queue", room.keep_looking())
    kit.tasks.spawn("expire placements", _expire(placements, metrics, kit.clock))
    yield


def rules(settings: Settings) -> Rules:
    """Bring the settings into the form that the table of replicas takes."""
    return Rules(
        stale_after_s=settings.stale_after_s,
        stalled_after_s=settings.stalled_after_s,
        queue_share=settings.queue_share,
        ejection=EjectionRules(
            failures=settings.ejection_failures,
            pause_s=settings.ejection_pause_s,
            longest_pause_s=settings.ejection_longest_pause_s,
        ),
    )


async def _expire(placements: Placements, metrics: Metrics, clock: Clock) -> None:
    while True:
        await clock.sleep(_EXPIRY_INTERVAL_S)
        metrics.expired.inc(placements.expire(clock.monotonic()))
