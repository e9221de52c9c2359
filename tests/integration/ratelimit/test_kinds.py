"""What is counted beside a minute's requests and tokens, through the front door of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from capstan.ratelimit.v1 import ratelimit_pb2 as pb
from chassis.errors import CapstanError, Reason
from chassis.valkey import connect
from services.ratelimit.store import script_text
from tests.integration.ratelimit.client import UNHURRIED_S, Client, refusal, rpm, service, tpm
from tests.store_process import StoreProcess

DAY_MS = 86_400_000


def rpd(limit: int, **more: bool) -> pb.Charge:
    return pb.Charge(
        dimension=pb.DIMENSION_REQUESTS_PER_DAY, subject_id="key_1", model="m", limit=limit, cost=1, **more
    )


def tpd(limit: int, cost: int) -> pb.Charge:
    return pb.Charge(dimension=pb.DIMENSION_TOKENS_PER_DAY, subject_id="org-1", model="m", limit=limit, cost=cost)


def at_once(limit: int, **more: bool) -> pb.Charge:
    return pb.Charge(
        dimension=pb.DIMENSION_CONCURRENT_REQUESTS, subject_id="key_1", model="m", limit=limit, cost=1, **more
    )


def money(cap: int, cost: int, seed: int | None = None, subject: str = "org-1", **more: bool) -> pb.Charge:
    budget = pb.Budget(period_id="2026-11", kind="organization", seed_nanousd=seed)
    return pb.Charge(dimension=pb.DIMENSION_MONEY, subject_id=subject, limit=cap, cost=cost, budget=budget, **more)


async def test_a_day_ends_at_midnight_and_says_so(client: Client) -> None:
    results = [await client.reserve("org-1", rpd(2), tpd(1000, 300)) for _ in range(3)]
    assert [result.HasField("refusal") for result in results] == [False, False, True]
    error = refusal(results[2])
    assert (error.reason, error.metadata["dimension"]) == (Reason.RATE_LIMITED, "requests_per_day")
    assert error.metadata["retry_after_ms"] == str(results[2].meters[0].reset.ToMilliseconds())
    assert 0 < results[2].meters[1].reset.ToMilliseconds() <= DAY_MS
    assert results[2].meters[1].remaining == 400
    assert [meter.exceeded for meter in results[2].meters] == [True, False]


async def test_tokens_of_a_day_are_settled_and_its_requests_are_not(client: Client) -> None:
    await client.reserve("org-1", rpd(10), tpd(1000, 300), request_id="req_1")
    assert await client.settle("org-1", "req_1", 20)
    result = await client.reserve("org-1", rpd(10), tpd(1000, 0))
    assert [meter.remaining for meter in result.meters] == [8, 980]


async def test_as_many_run_at_once_as_are_allowed(client: Client) -> None:
    results = [await client.reserve("org-1", at_once(2), request_id=f"req_{n}") for n in range(3)]
    assert [result.HasField("refusal") for result in results] == [False, False, True]
    error = refusal(results[2])
    assert (error.reason, error.metadata["dimension"]) == (Reason.RATE_LIMITED, "concurrent_requests")
    assert int(error.metadata["retry_after_ms"]) > 0
    assert await client.settle("org-1", "req_0", 0)
    assert not (await client.reserve("org-1", at_once(2))).HasField("refusal")
    assert refusal(await client.reserve("org-1", at_once(0))).reason is Reason.REQUEST_TOO_LARGE_FOR_LIMIT


async def test_a_shadow_never_refuses_and_counts_as_if_it_did(client: Client) -> None:
    charge = rpm(3)
    charge.shadow = True
    results = [await client.reserve("org-1", charge, rpd(1, shadow=True), at_once(1, shadow=True)) for _ in range(5)]
    assert not any(result.HasField("refusal") for result in results)
    assert [result.meters[0].exceeded for result in results] == [False, False, False, True, True]
    assert [result.meters[1].exceeded for result in results] == [False, True, True, True, True]
    assert [result.meters[2].exceeded for result in results] == [False, True, True, True, True]


async def test_who_hammers_uses_up_what_is_left_and_no_more(client: Client) -> None:
    charge = rpm(1)
    charge.count_rejected = True
    for _ in range(4):
        await client.reserve_all(*(client.item("org-1", charge) for _ in range(1000)))
    error = refusal(await client.reserve("org-1", charge))
    assert 0 < int(error.metadata["retry_after_ms"]) <= 60_000  # one unit, and not the four that were refused


async def test_a_request_refused_by_another_limit_counts_a_thousandth(client: Client) -> None:
    charge = rpm(3)  # drains so slowly that nearly all of them remain
    charge.count_rejected = True
    for _ in range(2):
        await client.reserve_all(*(client.item("org-1", charge, tpm(10, 11)) for _ in range(1000)))
    assert (await client.reserve("org-1", charge, tpm(10, 11))).meters[0].remaining < 2


async def test_no_more_than_the_burst_comes_at_once(client: Client) -> None:
    charge = rpm(100)
    charge.burst_percent = 10
    results = [await client.reserve("org-1", charge) for _ in range(11)]
    assert [result.HasField("refusal") for result in results] == [False] * 10 + [True]
    assert (results[0].meters[0].limit, results[0].meters[0].remaining) == (100, 9)
    assert 0 < int(refusal(results[10]).metadata["retry_after_ms"]) <= 600


async def test_a_long_answer_is_charged_while_it_runs(client: Client) -> None:
    await client.reserve("org-1", tpm(10**9, 100), tpd(1000, 100), request_id="req_1")
    assert await client.renew("org-1", "req_1", 50)
    assert await client.renew("org-1", "req_1", 700)
    assert await client.renew("org-1", "req_1", 700)
    assert (await client.reserve("org-1", tpd(1000, 0))).meters[0].remaining == 300
    assert await client.settle("org-1", "req_1", 650)
    assert (await client.reserve("org-1", tpd(1000, 0))).meters[0].remaining == 350
    assert await client.renew("org-1", "req_1", 900)  # it came late, and the settlement stays
    assert (await client.reserve("org-1", tpd(1000, 0))).meters[0].remaining == 350
    assert not await client.renew("org-1", "req_never", 1)


async def test_what_was_let_in_already_is_charged_whatever_the_meters_say(client: Client) -> None:
    charges = rpm(1), tpd(100, 300), at_once(1), money(100, 300)
    results = await client.reserve_all(*(client.item("org-1", *charges, granted=True) for _ in range(2)))
    assert not any(result.HasField("refusal") for result in results)
    assert [meter.remaining for meter in results[1].meters] == [0, 0, 0, 0]


async def test_gateways_know_how_many_they_are(client: Client) -> None:
    assert await client.heartbeat("gateway-1") == 1
    assert await client.heartbeat("gateway-2") == 2
    assert await client.heartbeat("gateway-1") == 2
    with pytest.raises(CapstanError, match="gateway_id"):
        await client.heartbeat("")


async def test_money_of_which_nothing_is_known_is_refused_until_someone_says_what_is_posted(client: Client) -> None:
    error = refusal(await client.reserve("org-1", rpm(10), money(1000, 300), money(500, 300, subject="proj_1")))
    assert error.reason is Reason.BUDGET_UNKNOWN
    assert error.metadata == {"budgets": "org-1/2026-11,proj_1/2026-11"}
    seeded = money(1000, 300, seed=600), money(500, 300, seed=0, subject="proj_1")
    result = await client.reserve("org-1", rpm(10), *seeded, request_id="req_1")
    assert [meter.remaining for meter in result.meters] == [9, 100, 200]
    error = refusal(await client.reserve("org-1", rpm(10), money(1000, 300, seed=0)))  # too late: it is known
    assert (error.reason, error.metadata) == (Reason.QUOTA_EXHAUSTED, {"budget": "organization"})
    assert await client.settle("org-1", "req_1", 7, amount_nanousd=50)
    assert not await client.settle("org-1", "req_1", 7, amount_nanousd=50)
    assert (await client.reserve("org-1", money(1000, 0))).meters[0].remaining == 350


async def test_sixteen_racing_for_money_never_exceed_the_cap(client: Client) -> None:
    await client.reserve("org-1", money(10**9, 0, seed=123))

    async def spend(who: int) -> int:
        spent = 0
        for turn in range(20):
            request_id = f"req_{who}_{turn}"
            result = await client.reserve("org-1", money(10**9, 10**7), request_id=request_id)
            if not result.HasField("refusal"):
                await client.settle("org-1", request_id, 0, amount_nanousd=9 * 10**6)
                spent += 9 * 10**6
        return spent

    spent = 123 + sum(await asyncio.gather(*map(spend, range(16))))
    assert 10**9 - 16 * 10**7 <= spent <= 10**9
    assert (await client.reserve("org-1", money(10**9, 0))).meters[0].remaining == 10**9 - spent


async def test_a_soft_limit_of_money_counts_all_and_refuses_nothing(client: Client) -> None:
    await client.reserve("org-1", money(100, 0, seed=0))
    results = [await client.reserve("org-1", money(100, 80, shadow=True)) for _ in range(2)]
    assert not any(result.HasField("refusal") for result in results)
    assert [(meter.remaining, meter.exceeded) for result in results for meter in result.meters] == [
        (20, False),
        (0, True),
    ]


async def test_the_largest_amounts_are_exact(client: Client) -> None:
    most = 9 * 10**15
    await client.reserve("org-1", money(most, 1, seed=most - 2), request_id="req_1")
    assert (await client.reserve("org-1", money(most, 0))).meters[0].remaining == 1
    assert await client.settle("org-1", "req_1", 0, amount_nanousd=2)
    assert refusal(await client.reserve("org-1", money(most, 1))).reason is Reason.QUOTA_EXHAUSTED
    assert refusal(await client.reserve("org-1", money(most + 1, 1))).metadata["param"] == "limit"


def playing(name: str, at_ms: Callable[[], int]) -> str:
    text = script_text(name)
    assert "redis.call('TIME')" in text
    return text.replace("redis.call('TIME')", f"{{{at_ms() // 1000}, {at_ms() % 1000 * 1000}}}")


async def test_a_hold_that_is_over_is_free_and_its_late_settlement_is_posted(client: Client, valkey_url: str) -> None:
    async with connect(valkey_url, timeout_s=UNHURRIED_S) as valkey:

        async def call(name: str, at_ms: int, keys: list[str], *arguments: object) -> object:
            return await valkey.script(playing(name, lambda: at_ms))(keys, arguments)  # type: ignore[arg-type]

        first, second, meter = ("{rl:o}:reservation:a", "{rl:o}:reservation:b", "{rl:o}:money:o:p")
        charge = ("money", "r", 100, 100, 60, 30, 0)
        assert await call("reserve", 1000, [first, meter], 5000, 90_000, 0, *charge) == [0, 0, 90, 0, 0]
        assert await call("reserve", 5999, [second, meter], 5000, 90_000, 0, *charge) == [1, -1, 90, 0, 1]
        assert await call("reserve", 6000, [second, meter], 5000, 90_000, 0, *charge) == [0, 0, 90, 0, 0]
        assert await call("settle", 7000, [first], 0, 25, 60_000) == 1
        assert await valkey.command("HMGET", meter, "posted", "held") == [b"55", b"60"]
        assert await call("settle", 7000, [second], 0, 0, 60_000) == 1
        assert await valkey.command("HMGET", meter, "posted", "held") == [b"55", b"0"]


async def test_a_lease_ends_by_itself_unless_it_is_renewed(client: Client, valkey_url: str) -> None:
    async with connect(valkey_url, timeout_s=UNHURRIED_S) as valkey:

        async def call(name: str, at_ms: int, keys: list[str], *arguments: object) -> object:
            return await valkey.script(playing(name, lambda: at_ms))(keys, arguments)  # type: ignore[arg-type]

        names = [f"{{rl:o}}:reservation:{name}" for name in "abc"]
        head, charge, meter = (900_000, 900_000, 0), ("running", "r", 2, 2, 1, "", 0), "{rl:o}:running:k:m"
        for name in names[:2]:
            assert (await call("reserve", 1000, [name, meter], *head, *charge))[0] == 0  # type: ignore[index]
        assert await call("renew", 20_000, names[:1], 0, 900_000) == 1
        assert (await call("reserve", 30_999, [names[2], meter], *head, *charge))[0] == 1  # type: ignore[index]
        assert (await call("reserve", 31_000, [names[2], meter], *head, *charge))[0] == 0  # type: ignore[index]
        assert await valkey.command("ZRANGE", meter, 0, -1) == [b"a", b"c"]


async def test_a_store_without_memory_is_as_good_as_away(server: StoreProcess) -> None:
    async with connect(server.store.url, timeout_s=UNHURRIED_S) as valkey, service(server.store.url) as client:
        assert not (await client.reserve("org-1", rpm(10))).HasField("refusal")
        await valkey.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await valkey.command("CONFIG", "SET", "maxmemory", "1")
        try:
            for work in (client.reserve("org-1", rpm(10)), client.heartbeat("gateway-1")):
                with pytest.raises(CapstanError) as caught:
                    await work
                assert caught.value.reason is Reason.UNAVAILABLE
        finally:
            await valkey.command("CONFIG", "SET", "maxmemory", "0")
        assert not (await client.reserve("org-1", rpm(10))).HasField("refusal")
