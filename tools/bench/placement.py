"""`python -m tools.bench.placement`: what each placement policy makes of caches and queues, in virtual time.

Simulated replicas whose caches do not hold everything and whose prefills wait for each other, two routers that know
nothing of each other, and three workloads: conversations that grow turn by turn, questions about documents of which
some are popular, and the same with one document that half of all ask about. Each runs warm first. Nothing waits for a
clock, so the same seed gives the same table on any machine; only the CPU time of a placement is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from capstan.inference.v1 import inference_pb2
from capstan.router.v1 import router_pb2
from chassis.clock import ManualClock
from chassis.errors import CapstanError
from services.gateway.peers.prompt_hashes import prefix_hashes
from services.inference.engine import Delta
from services.inference.errors import EngineError
from services.inference.request import GenerationRequest, Sampling
from services.inference.sim_vocabulary import SimTokenizer
from services.inference.simulation import Pace, Simulation
from services.router.load import Load
from services.router.metrics import Metrics
from services.router.models import Catalogue
from services.router.placement import Placements, Request
from services.router.policies import POLICIES, PolicyName
from services.router.pools import Replicas
from services.router.replicas import Description, Kind, Rules
from services.router.servicer import RouterServicer
from services.router.waiting_room import QueueRules, WaitingRoom

REPLICAS = 4
SLOTS = 24
KV_BLOCKS = 3000
REPORT_S = 0.1
RETRY_S = 0.05
PACE = Pace(tokens_per_s=40, ttft_s=0.03, prefill_tokens_per_s=6000, max_running=SLOTS)
ANSWER_TOKENS = 60
DESCRIPTION = Description("chat", frozenset({Kind.GENERATE}), 8192, "fp")
CPU_REPLICAS = 100
GENERATE = router_pb2.MODEL_KIND_GENERATE


class World:
    """Virtual time, replicas, two routers, and what was seen."""

    def __init__(self, policy: PolicyName, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)  # noqa: S311 - a workload, no secret
        self.tokenizer = SimTokenizer()
        self.first_token_s: list[float] = []
        self.shares: Counter[int] = Counter()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._engines = [
            Simulation(PACE, max_model_tokens=8192, kv_blocks=KV_BLOCKS, block_tokens=16, tokenizer=self.tokenizer)
            for _ in range(REPLICAS)
        ]
        self._stepping = [False] * REPLICAS
        self._routers = [_router(policy, REPLICAS) for _ in range(2)]
        self._names = itertools.count()
        self._forgotten = (0, 0)
        self._report()

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something then."""
        heapq.heappush(self._events, (when, next(self._order), act))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()

    def ask(self, text: str, ended: Callable[[str], None], session: int = 0) -> None:
        """Place a prompt and run it; `ended` gets the answer. `session`: of a conversation under way."""
        name = f"req_{next(self._names)}"
        hashes = prefix_hashes(inference_pb2.Start(text=text), "org")
        prompt = self.tokenizer.encode(text, framed=True)
        asked = Request(
            name, "chat", Kind.GENERATE, len(prompt) + ANSWER_TOKENS, prefix_hashes=hashes, session_hash=session
        )
        self._place(asked, prompt, self._routers[self.random.randrange(2)], self.now, ended)

    def _place(
        self, asked: Request, prompt: list[int], router: Placements, begin: float, ended: Callable[[str], None]
    ) -> None:
        try:
            number = int(router.place(asked, self.now).id)
        except CapstanError:
            self.at(self.now + RETRY_S, lambda: self._place(asked, prompt, router, begin, ended))
            return
        self.shares[number] += 1

        def over(text: str) -> None:
            router.release(asked.request_id, went_well=True, now=self.now)
            ended(text)

        sampling = Sampling(max_tokens=ANSWER_TOKENS, temperature=0, ignore_eos=True)
        request = GenerationRequest(asked.request_id, prompt, sampling)
        self._engines[number].submit(request, _Sink(self, begin, over), self.now)
        self._step_at(number, self.now)

    def _step_at(self, number: int, when: float) -> None:
        if not self._stepping[number]:
            self._stepping[number] = True
            self.at(when, lambda: self._step(number))

    def _step(self, number: int) -> None:
        self._stepping[number] = False
        self._engines[number].step(self.now)
        after = self._engines[number].next_step_at(self.now)
        if after is not None:
            self._step_at(number, after)

    def _report(self) -> None:
        for number, engine in enumerate(self._engines):
            load = engine.load(self.now)
            told = Load(load.running, load.waiting, load.kv_usage, accepting=True, stalled_s=None, slots=SLOTS)
            for router in self._routers:
                replica = router.replicas.get(f"{number}")
                assert replica is not None
                replica.report(told, self.now)
        self.at(self.now + REPORT_S, self._report)

    def forget(self) -> None:
        """Count anew from here."""
        self.first_token_s.clear()
        self.shares.clear()
        self._forgotten = self._cache_use()

    @property
    def hit_rate(self) -> float:
        """Share of the prompt tokens that were cached."""
        hits, queries = self._cache_use()
        return (hits - self._forgotten[0]) / (queries - self._forgotten[1])

    def _cache_use(self) -> tuple[int, int]:
        loads = [engine.load(self.now) for engine in self._engines]
        return sum(load.prefix_hit_tokens for load in loads), sum(load.prefix_query_tokens for load in loads)


@dataclass
class _Sink:
    world: World
    begin: float
    ended: Callable[[str], None]
    text: list[str] = field(default_factory=list)

    def push(self, delta: Delta) -> None:
        if not self.text:
            self.world.first_token_s.append(self.world.now - self.begin)
        self.text.append(delta.text)
        if delta.finish is not None:
            self.ended("".join(self.text))

    def fail(self, error: EngineError) -> None:
        raise AssertionError(error)


def _router(policy: PolicyName, count: int) -> Placements:
    replicas = Replicas(Rules(queue_share=0.25))
    for number in range(count):
        replicas.describe(replicas.add(f"{number}", ""), DESCRIPTION)
    catalogue = Catalogue({}, {"chat": Kind.GENERATE}, 0.0)
    return Placements(replicas, catalogue, expiry_s=1e9, settled_after_s=1e9, policy=POLICIES[policy])


def conversations(world: World) -> None:
    """150 people, 6 assistants with instructions of their own, up to 8 turns with pauses between them."""
    instructions = [_words(world.random, 350) for _ in range(6)]

    def begin() -> None:
        turn(world.random.choice(instructions), 0, world.random.getrandbits(63) + 1)

    def turn(history: str, number: int, session: int) -> None:
        said = history + " user: " + _words(world.random, 40)

        def answered(text: str) -> None:
            pause = world.random.uniform(2, 8)
            more = number < 7
            told = said + " assistant: " + text
            world.at(world.now + pause, lambda: turn(told, number + 1, session) if more else begin())

        world.ask(said, answered, session if number else 0)

    for _ in range(150):
        world.at(world.random.uniform(0, 8), begin)


def documents(world: World) -> None:
    """Questions about 80 documents, the popular ones far more often than others (Zipf), 24 a second."""
    _questions(world, [1 / (rank + 1) for rank in range(80)], per_s=24)


def one_document(world: World) -> None:
    """Questions about 80 documents, half of them about one, 20 a second."""
    _questions(world, [79.0] + [1.0] * 79, per_s=20)


def _questions(world: World, weights: Sequence[float], *, per_s: float) -> None:
    texts = [_words(world.random, 700) for _ in weights]

    def arrive() -> None:
        (text,) = world.random.choices(texts, weights)
        world.ask(text + " question: " + _words(world.random, 20), lambda _: None)
        world.at(world.now + world.random.expovariate(per_s), arrive)

    world.at(0.0, arrive)


WORKLOADS: Mapping[str, Callable[[World], None]] = {
    "conversations": conversations,
    "documents": documents,
    "one document": one_document,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a workload under a policy."""

    hit_rate: float
    """Share of the prompt tokens that were cached."""
    p50_s: float
    p99_s: float
    """Time to the first token, from the first attempt to place."""
    worst_share: float
    """Requests of the replica that had most, over the mean."""
    requests: int


def observe(workload: Callable[[World], None], policy: PolicyName, *, seed: int, warm_s: float, seconds: float) -> Seen:
    """Run a workload, first unobserved and then observed, both in virtual seconds."""
    world = World(policy, seed)
    workload(world)
    world.run(warm_s)
    world.forget()
    world.run(warm_s + seconds)
    return Seen(
        world.hit_rate,
        percentile(world.first_token_s, 0.5),
        percentile(world.first_token_s, 0.99),
        max(world.shares.values()) * REPLICAS / sum(world.shares.values()),
        len(world.first_token_s),
    )


def _words(randomness: random.Random, count: int) -> str:
    return " ".join("".join(randomness.choices("abcdefghijklmnop", k=4)) for _ in range(count))


def cpu_us(policy: PolicyName, items: int = 4000) -> float:
    """CPU time of a placement among 100 replicas, wire messages included, microseconds."""
    placements = _router(policy, CPU_REPLICAS)
    for replica in placements.replicas:
        replica.report(Load(0, 0, 0.1, accepting=True, stalled_s=None, slots=64), 0.0)
    clock = ManualClock(0.0)
    catalogue = Catalogue({}, {"chat": Kind.GENERATE}, 0.0)
    room = WaitingRoom(placements, QueueRules(), clock)
    metrics = Metrics(CollectorRegistry(), placements.replicas, room, dict, clock.monotonic)
    servicer = RouterServicer(placements, room, placements.replicas, catalogue, metrics, clock)
    randomness = random.Random(1)  # noqa: S311 - a workload, no secret
    keys = [[randomness.getrandbits(64) for _ in range(6)] for _ in range(300)]
    requests = [
        router_pb2.PlaceRequest(
            items=[
                router_pb2.PlaceItem(
                    request_id=f"req_{n + i}",
                    model="chat",
                    kind=GENERATE,
                    prompt_tokens=500,
                    prefix_hashes=keys[(n + i) % 300],
                )
                for i in range(10)
            ]
        )
        for n in range(0, items, 10)
    ]

    async def place_all() -> float:
        await servicer.Place(requests[0], None)
        begin = time.process_time()
        for request in requests:
            (await servicer.Place(request, None)).SerializeToString()
        return time.process_time() - begin

    return asyncio.run(place_all()) / items * 1e6


def percentile(values: Sequence[float], share: float) -> float:
    """Answer the value below which `share` of `values` lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main(argv: Sequence[str] | None = None) -> int:
    """Print one row per workload and policy; times as multiples of what they are when each replica has its turn."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.placement", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="virtual time of a run (default 120)")
    parser.add_argument("--warm", type=float, default=40.0, help="virtual time before it (default 40)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    print("workload       policy            hits  p50 TTFT  p99 TTFT  worst share  requests")
    for name, workload in WORKLOADS.items():
        turns: Seen | None = None
        for policy in sorted(POLICIES, key=lambda each: each != "round_robin"):
            seen = observe(workload, policy, seed=args.seed, warm_s=args.warm, seconds=args.seconds)
            turns = turns or seen
            print(
                f"{name:14} {policy:15} {100 * seen.hit_rate:4.1f} %      {seen.p50_s / turns.p50_s:4.2f}      "
                f"{seen.p99_s / turns.p99_s:4.2f}         {seen.worst_share:4.2f}  {seen.requests:8}",
                flush=True,
            )
    for policy in POLICIES:
        print(f"CPU of a placement among {CPU_REPLICAS} replicas, {policy:16} {cpu_us(policy):5.1f} us", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
