"""Whoever checks the books sees how budgets stand; what a dead gateway held ends by itself, also when nobody asks."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from capstan.ratelimit.v1 import ratelimit_pb2 as pb
from chassis.errors import Reason
from chassis.valkey import Valkey, connect
from services.ratelimit import audit_command
from services.ratelimit.audit import PATIENCE_MS, audit
from services.ratelimit.metrics import Metrics
from services.ratelimit.reaper import Reaper
from services.ratelimit.settings import Settings
from services.ratelimit.store import script_text
from tests.integration.ratelimit.client import UNHURRIED_S, Client, refusal


def money(
    amount: int, *, seed: int | None = None, floor: int = 0, subject: str = "org-1", cap: int = 1000
) -> pb.Charge:
    budget = pb.Budget(period_id="2026-11", kind="organization", seed_nanousd=seed, floor_nanousd=floor)
    return pb.Charge(dimension=pb.DIMENSION_MONEY, subject_id=subject, limit=1000, cost=amount, budget=budget)


@pytest.fixture
async def valkey(client: Client, valkey_url: str) -> AsyncIterator[Valkey]:
    async with connect(valkey_url, timeout_s=UNHURRIED_S) as made:
        yield made


async def test_an_audit_tells_what_is_posted_and_held_of_every_budget(client: Client, valkey: Valkey) -> None:
    for number in range(1200):  # more than one page
        await valkey.command("SET", f"{{rl:org-1}}:requests:key_{number}:m", "x")
    await client.reserve("org-1", money(30, seed=5), money(30, subject="proj_1", seed=2), request_id="a")
    await client.reserve("org-1", money(20), request_id="b")
    await client.settle("org-1", "a", 0, amount_nanousd=11)
    await client.reserve("org-2", money(7, subject="org-2"))
    states = {state.subject_id: state for state in await audit(valkey)}
    assert set(states) == {"org-1", "proj_1"}  # of org-2 nothing is known, so nothing was charged
    whole = states["org-1"]
    assert (whole.posted_nanousd, whole.held_nanousd, whole.holds_nanousd, whole.hold_count) == (16, 20, 20, 1)
    assert whole.first_end_ms > whole.time_ms
    assert (states["proj_1"].posted_nanousd, states["proj_1"].hold_count) == (13, 0)
    assert all(state.adds_up and not state.is_stale for state in states.values())


async def test_a_meter_is_raised_to_what_billing_has_posted_and_never_lowered(client: Client, valkey: Valkey) -> None:
    await client.reserve("org-1", money(100, seed=0), request_id="a")
    assert not (await client.reserve("org-1", money(100, floor=800))).HasField("refusal")
    for floor in (800, 0, 700, 800):
        refused = refusal(await client.reserve("org-1", money(1, floor=floor)))
        assert refused.reason is Reason.QUOTA_EXHAUSTED
    [state] = await audit(valkey)
    assert (state.posted_nanousd, state.held_nanousd) == (800, 200)


async def test_where_nothing_is_known_a_floor_is_no_knowledge(client: Client) -> None:
    assert refusal(await client.reserve("org-1", money(1, floor=800))).reason is Reason.BUDGET_UNKNOWN


async def test_ended_holds_are_given_back_when_nobody_asks(client: Client, valkey: Valkey) -> None:
    text = script_text("reserve").replace("redis.call('TIME')", "{1000, 0}")
    for number in range(250):  # more than one call gives back
        keys = [f"{{rl:org-1}}:reservation:{number}", "{rl:org-1}:money:org-1:2026-11"]
        await valkey.script(text)(keys, [5000, 90_000_000, 0, "money", "r", 10**6, 10**6, 2, 0, 0])
    await client.reserve("org-2", money(7, subject="org-2", seed=0))
    ended, running = await audit(valkey)
    assert (ended.hold_count, ended.held_nanousd, ended.is_stale, ended.adds_up) == (250, 500, True, True)
    registry = CollectorRegistry()
    await Reaper(valkey, Metrics(registry, lambda: False), logging.getLogger("test")).look()
    assert registry.get_sample_value("capstan_ratelimit_ended_holds_total") == 250
    after = {state.subject_id: (state.hold_count, state.held_nanousd) for state in await audit(valkey)}
    assert after == {"org-1": (0, 0), "org-2": (1, running.held_nanousd)}


async def test_a_hold_is_stale_a_minute_after_its_end(client: Client, valkey: Valkey) -> None:
    await client.reserve("org-1", money(7, seed=0))
    key = "{rl:org-1}:money:org-1:2026-11:holds"
    [state] = await audit(valkey)
    [name] = await valkey.command("ZRANGE", key, 0, -1)  # type: ignore[misc]
    for before_ms, stale in ((PATIENCE_MS - 10_000, False), (PATIENCE_MS + 10_000, True)):
        await valkey.command("ZADD", key, state.time_ms - before_ms, name)  # type: ignore[arg-type]
        [found] = await audit(valkey)
        assert found.is_stale is stale


def test_the_command_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], valkey_server: object, valkey_url: str
) -> None:
    settings = Settings(valkey_url=valkey_url)
    ask = valkey_server.ask  # type: ignore[attr-defined]
    ask("FLUSHDB")
    ask("HSET {rl:org-1}:money:org-1:2026-11 posted 5 held 7")
    assert audit_command.main([], settings) == 1
    said = capsys.readouterr().out
    assert "FAIL org-1 2026-11: 7 nano-dollars held, 0 holds of 0" in said
    assert "1 budgets, 7 nano-dollars held, 1 wrong" in said
    assert audit_command.main(["--json"], settings) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["posted_nanousd"] == 5
    ask("HSET {rl:org-1}:money:org-1:2026-11 held 0")
    assert audit_command.main([], settings) == 0
