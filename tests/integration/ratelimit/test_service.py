"""The ratelimit service through its front door, on a real Valkey."""

from __future__ import annotations

import asyncio
import time

import pytest

from capstan.ratelimit.v1 import ratelimit_pb2 as pb
from chassis.errors import CapstanError, Reason
from chassis.valkey import connect as connect_valkey
from tests.integration.ratelimit.client import RPM, TPM, UNHURRIED_S, Client, refusal, rpm, service, tpm
from tests.store_process import StoreProcess


async def test_eight_callers_at_once_are_admitted_within_the_bound(client: Client) -> None:
    limit = 600
    begun = time.monotonic()

    async def caller() -> int:
        results = [await client.reserve("org-1", rpm(limit), tpm(10**9, 1)) for _ in range(100)]
        return sum(not result.HasField("refusal") for result in results)

    admitted = sum(await asyncio.gather(*(caller() for _ in range(8))))
    assert limit <= admitted <= limit + limit * (time.monotonic() - begun) / 60 + 1


async def test_one_batch_is_as_exact_as_single_calls(client: Client) -> None:
    begun = time.monotonic()
    results = await client.reserve_all(*(client.item("org-1", rpm(60)) for _ in range(200)))
    admitted = sum(not result.HasField("refusal") for result in results)
    assert 60 <= admitted <= 60 + (time.monotonic() - begun) + 1
    assert results[0].meters[0].remaining == 59


async def test_tokens_name_themselves_and_the_right_wait(client: Client) -> None:
    begun = time.monotonic()
    for _ in range(3):
        assert not (await client.reserve("org-1", rpm(10**6), tpm(1000, 300))).HasField("refusal")
    error = refusal(await client.reserve("org-1", rpm(10**6), tpm(1000, 300)))
    passed_ms = (time.monotonic() - begun) * 1000
    assert error.reason is Reason.RATE_LIMITED
    assert error.metadata["dimension"] == "tokens_per_minute"
    assert error.metadata["scope"] == "organization"
    assert (error.metadata["limit"], error.metadata["requested"]) == ("1000", "300")
    assert 12_000 - passed_ms - 1 <= int(error.metadata["retry_after_ms"]) <= 12_000
    assert int(error.metadata["used"]) <= 900


async def test_the_meters_stand_as_headers_need_them(client: Client) -> None:
    result = await client.reserve("org-1", rpm(60), tpm(60_000, 30_000))
    requests, tokens = result.meters
    assert (requests.dimension, requests.limit, requests.remaining) == (RPM, 60, 59)
    assert requests.reset.ToMilliseconds() == 1000
    assert (tokens.dimension, tokens.limit, tokens.remaining) == (TPM, 60_000, 30_000)
    assert tokens.reset.ToMilliseconds() == 30_000


async def test_a_refusal_consumes_nothing(client: Client) -> None:
    for _ in range(20):
        await client.reserve("org-1", rpm(10), tpm(1000, 400))
    result = await client.reserve("org-1", rpm(10, cost=0), tpm(1000, 0))
    assert result.meters[0].remaining == 8


async def test_settling_less_opens_room_and_a_second_time_does_nothing(client: Client) -> None:
    for name in ("req_a", "req_b", "req_c"):
        await client.reserve("org-1", tpm(1000, 300), request_id=name)
    assert (await client.reserve("org-1", tpm(1000, 300))).HasField("refusal")
    assert await client.settle("org-1", "req_a", 20)
    assert not await client.settle("org-1", "req_a", 0)
    assert not (await client.reserve("org-1", tpm(1000, 300))).HasField("refusal")
    assert (await client.reserve("org-1", tpm(1000, 300))).HasField("refusal")


async def test_settling_what_was_never_reserved_does_nothing(client: Client) -> None:
    assert not await client.settle("org-1", "req_nobody", 500)
    assert (await client.reserve("org-1", tpm(1000, 1))).meters[0].remaining == 999


async def test_the_same_request_is_charged_once_before_and_after_its_settlement(client: Client) -> None:
    first = await client.reserve("org-1", rpm(10), tpm(1000, 600), request_id="req_same")
    again = await client.reserve("org-1", rpm(10), tpm(1000, 600), request_id="req_same")
    assert not first.HasField("refusal")
    assert not again.HasField("refusal")
    assert first.meters[0].remaining == again.meters[0].remaining == 9
    assert await client.settle("org-1", "req_same", 100)
    late = await client.reserve("org-1", rpm(10), tpm(1000, 600), request_id="req_same")
    assert not late.HasField("refusal")
    assert late.meters[1].remaining >= 900


async def test_settling_more_is_a_debt_that_the_next_wait_for(client: Client) -> None:
    begun = time.monotonic()
    await client.reserve("org-1", tpm(1000, 100), request_id="req_long")
    assert await client.settle("org-1", "req_long", 1500)
    error = refusal(await client.reserve("org-1", tpm(1000, 100)))
    passed_ms = (time.monotonic() - begun) * 1000
    assert 36_000 - passed_ms - 1 <= int(error.metadata["retry_after_ms"]) <= 36_000


async def test_a_request_larger_than_the_limit_is_told_that_waiting_never_helps(client: Client) -> None:
    error = refusal(await client.reserve("org-1", rpm(10), tpm(1000, 1001)))
    assert error.reason is Reason.REQUEST_TOO_LARGE_FOR_LIMIT
    assert error.metadata["dimension"] == "tokens_per_minute"
    assert "retry_after_ms" not in error.metadata
    assert refusal(await client.reserve("org-1", rpm(0))).reason is Reason.REQUEST_TOO_LARGE_FOR_LIMIT


async def test_a_reservation_that_comes_after_its_settlement_charges_nothing(client: Client) -> None:
    assert not await client.settle("org-1", "req_overtaken", 0)
    late = await client.reserve("org-1", rpm(10), request_id="req_overtaken")
    assert (late.HasField("refusal"), late.meters[0].remaining) == (False, 10)


async def test_a_reservation_left_unsettled_is_given_back(client: Client) -> None:
    await client.reserve("org-1", tpm(6_000_000, 6_000_000))
    async with asyncio.timeout(30):  # 100,000 tokens drain in a second
        while True:
            result = await client.reserve("org-1", tpm(6_000_000, 100_000))
            if not result.HasField("refusal"):
                break
            await asyncio.sleep(int(refusal(result).metadata["retry_after_ms"]) / 1000)


async def test_numbers_up_to_a_trillion_stay_exact(client: Client) -> None:
    most = 10**12
    charges = [
        pb.Charge(dimension=TPM, subject_id=f"proj_{n}", model="m", limit=limit, cost=1)
        for n, limit in enumerate((most, most - 1, 2**62))
    ]
    await client.reserve("org-1", *charges, request_id="req_1")
    result = await client.reserve("org-1", *charges, request_id="req_1")
    assert [meter.remaining for meter in result.meters] in (
        [most - 1, most - 2, most - 1],
        [most, most - 1, most],  # a token of these drains in no time
    )
    await client.settle("org-1", "req_1", most)
    error = refusal(await client.reserve("org-1", pb.Charge(dimension=TPM, subject_id="proj_0", limit=3, cost=4)))
    assert error.reason is Reason.REQUEST_TOO_LARGE_FOR_LIMIT


async def test_a_wrong_item_is_refused_alone(client: Client) -> None:
    wrong = client.item("org-1", pb.Charge(subject_id="proj_1", limit=1, cost=1))
    results = await client.reserve_all(client.item("org-1", rpm(10)), wrong, client.item("org-1", rpm(10)))
    assert [result.HasField("refusal") for result in results] == [False, True, False]
    assert refusal(results[1]).reason is Reason.INVALID_ARGUMENT
    assert refusal(results[1]).metadata["param"] == "dimension"
    assert [results[0].meters[0].remaining, results[2].meters[0].remaining] == [9, 8]


@pytest.mark.parametrize("count", [0, 1001])
async def test_an_empty_or_boundless_call_is_refused(client: Client, count: int) -> None:
    with pytest.raises(CapstanError) as caught:
        await client.reserve_all(*[client.item("org-1", rpm(10))] * count)
    assert caught.value.reason is Reason.INVALID_ARGUMENT


async def test_organisations_and_models_do_not_share_meters(client: Client) -> None:
    other_model = pb.Charge(dimension=RPM, subject_id="proj_1", model="n", limit=1, cost=1)
    for organization, charge in (("org-1", rpm(1)), ("org-2", rpm(1)), ("org-1", other_model)):
        assert not (await client.reserve(organization, charge)).HasField("refusal")
    assert (await client.reserve("org-1", rpm(1))).HasField("refusal")


async def test_scripts_that_were_flushed_are_loaded_again(client: Client, valkey_url: str) -> None:
    await client.reserve("org-1", tpm(1000, 300), request_id="req_1")
    async with connect_valkey(valkey_url, timeout_s=UNHURRIED_S) as valkey:
        await valkey.command("SCRIPT", "FLUSH")
        assert await client.settle("org-1", "req_1", 0)
        await valkey.command("SCRIPT", "FLUSH")
        assert (await client.reserve("org-1", tpm(1000, 300))).meters[0].remaining in (699, 700)  # a begun unit


async def found_again(client: Client, organization: str) -> pb.ReserveResult:
    async with asyncio.timeout(30):
        while True:
            try:
                return await client.reserve(organization, rpm(10))
            except CapstanError:
                await asyncio.sleep(0.05)


async def test_a_valkey_that_comes_back_empty_is_used_at_once(server: StoreProcess) -> None:
    async with service(server.store.url) as client:
        assert (await client.reserve("org-1", rpm(10))).meters[0].remaining == 9
        server.kill()
        with pytest.raises(CapstanError) as caught:
            await client.reserve("org-1", rpm(10))
        assert caught.value.reason is Reason.UNAVAILABLE
        assert caught.value.metadata["service"] == "valkey"
        server.start()
        assert (await found_again(client, "org-1")).meters[0].remaining == 9


async def test_a_frozen_valkey_fails_calls_and_does_not_hang_them(server: StoreProcess) -> None:
    async with service(server.store.url, timeout_s=0.05) as client:
        await found_again(client, "org-3")
        server.freeze()
        try:
            async with asyncio.timeout(10):
                for _ in range(5):
                    with pytest.raises(CapstanError) as caught:
                        await client.reserve("org-3", rpm(10))
                    assert caught.value.reason is Reason.UNAVAILABLE
        finally:
            server.thaw()
        await found_again(client, "org-3")


async def test_the_service_starts_while_valkey_is_away(server: StoreProcess) -> None:
    server.kill()
    async with service(server.store.url) as client:
        with pytest.raises(CapstanError) as caught:
            await client.settle("org-1", "req_1", 1)
        assert caught.value.reason is Reason.UNAVAILABLE
        server.start()
        await found_again(client, "org-1")
