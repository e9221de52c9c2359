"""Keyed requests through ratelimit's front door, on a real Valkey."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import grpc
import pytest

from capstan.ratelimit.v1 import answers_pb2 as pb
from capstan.ratelimit.v1 import answers_pb2_grpc
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import call, connect
from chassis.testing import running
from chassis.valkey import Valkey
from chassis.valkey import connect as connect_valkey
from services.ratelimit.answers import LARGEST_ANSWER_BYTES, Answers, Place
from services.ratelimit.app import build
from services.ratelimit.settings import Settings

UNHURRIED_S = 10.0
GRANTED, RUNNING, KEPT = pb.CLAIM_STATE_GRANTED, pb.CLAIM_STATE_RUNNING, pb.CLAIM_STATE_KEPT
USED, OTHER = pb.CLAIM_STATE_USED, pb.CLAIM_STATE_OTHER
ANSWER = pb.KeptAnswer(status=200, headers=[pb.Header(name=b"openai-model", value=b"m")], body=b'{"a": "\x00\xff"}')

_numbers = itertools.count()


class Client:
    """One gateway's work on one key."""

    def __init__(self, channel: grpc.aio.Channel, key: str = "") -> None:
        self._channel = channel
        self._stub = answers_pb2_grpc.AnswerServiceStub(channel)
        self.key = key or f"key {next(_numbers)}"
        self.fields = {"organization_id": "org-1", "project_id": "proj_1", "key": self.key}
        self.claimant = f"claim_{next(_numbers)}"

    def another(self) -> Client:
        """Another gateway with the same key."""
        return Client(self._channel, self.key)

    async def claim(self, fingerprint: bytes = b"f" * 32, lease_ms: int = 60_000, **changes: str) -> pb.ClaimResponse:
        request = pb.ClaimRequest(**self.fields | changes, claimant=self.claimant, fingerprint=fingerprint)
        request.lease.FromMilliseconds(lease_ms)
        return await call(self._stub.Claim, request, timeout_s=UNHURRIED_S, peer="ratelimit")

    async def conclude(self, state: pb.ClaimState.ValueType, answer: pb.KeptAnswer | None = None) -> bool:
        request = pb.ConcludeRequest(**self.fields, claimant=self.claimant, state=state, answer=answer)
        return (await call(self._stub.Conclude, request, timeout_s=UNHURRIED_S, peer="ratelimit")).concluded


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Client]:
    async with running("ratelimit", build, Settings(valkey_url=valkey_url, valkey_timeout_s=UNHURRIED_S)) as service:
        channel = connect(service.address)
        yield Client(channel)
        await channel.close()


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    async with connect_valkey(valkey_url, timeout_s=UNHURRIED_S) as made:
        yield made


async def test_one_of_many_gets_the_claim(client: Client) -> None:
    others = [client.another() for _ in range(20)]
    states = [response.state for response in await asyncio.gather(*(other.claim() for other in others))]
    assert sorted(states) == [GRANTED] + [RUNNING] * 19
    (winner,) = (other for other, state in zip(others, states, strict=True) if state == GRANTED)
    assert (await winner.claim()).state == GRANTED
    assert not await client.conclude(USED)
    assert await winner.conclude(KEPT, ANSWER)
    for other in others:
        found = await other.claim()
        assert (found.state, found.answer) == (KEPT, ANSWER)


async def test_a_key_stands_for_one_request_of_one_project(client: Client) -> None:
    await client.claim()
    other = client.another()
    assert (await other.claim(b"g" * 32)).state == OTHER
    await client.conclude(KEPT, ANSWER)
    assert (await other.claim(b"g" * 32)).state == OTHER
    assert (await other.claim(b"g" * 32, project_id="proj_2")).state == GRANTED
    assert (await other.claim(b"g" * 32, organization_id="org-2")).state == GRANTED


async def test_work_that_was_not_done_frees_the_key(client: Client) -> None:
    await client.claim()
    assert await client.conclude(GRANTED)
    assert (await client.another().claim(b"g" * 32)).state == GRANTED


async def test_a_large_answer_is_used_up(client: Client) -> None:
    await client.claim()
    assert await client.conclude(KEPT, pb.KeptAnswer(status=200, body=b"x" * LARGEST_ANSWER_BYTES))
    assert (await client.another().claim()).state == USED
    assert await client.conclude(USED)


async def test_a_claim_lapses_with_its_lease(client: Client, valkey: Valkey) -> None:
    await client.claim(lease_ms=900_000)
    record = Place("org-1", "proj_1", client.key).record
    lease_ms = await valkey.command("PTTL", record)
    assert isinstance(lease_ms, int)
    assert 800_000 < lease_ms <= 900_000
    await valkey.command("DEL", record)
    other = client.another()
    assert (await other.claim()).state == GRANTED
    assert not await client.conclude(KEPT, ANSWER)
    assert await other.conclude(KEPT, ANSWER)
    known_ms = await valkey.command("PTTL", record)
    assert isinstance(known_ms, int)
    assert 86_000_000 < known_ms <= 86_400_000


async def test_what_an_organization_keeps_is_bounded_and_the_oldest_goes_first(valkey: Valkey) -> None:
    answers = Answers(valkey, organization_bytes=1000)
    places = [Place("org-full", "proj_1", f"k{number}") for number in range(30)]
    for place in places:
        assert (await answers.claim(place, b"f" * 32, "me", 60_000))[0] == GRANTED
        assert await answers.conclude(place, "me", KEPT, b"x" * 100)
    kept = [(await answers.claim(place, b"f" * 32, "you", 60_000))[0] for place in places]
    assert kept == [GRANTED] * 20 + [KEPT] * 10
    assert await valkey.command("GET", f"{places[0].tag}:bytes") == b"1000"
    assert await valkey.command("ZCARD", f"{places[0].tag}:index") == 10


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"organization_id": ""}, "organization_id"),
        ({"key": "x" * 257}, "key"),
        ({"project_id": ""}, "project_id"),
    ],
)
async def test_senseless_claims_are_refused(client: Client, changes: dict[str, str], param: str) -> None:
    with pytest.raises(CapstanError) as refusal:
        await client.claim(**changes)
    assert (refusal.value.reason, refusal.value.metadata["param"]) == (Reason.INVALID_ARGUMENT, param)


async def test_senseless_leases_fingerprints_and_conclusions_are_refused(client: Client) -> None:
    for lease_ms, fingerprint in ((999, b"f" * 32), (900_001, b"f" * 32), (1000, b"f")):
        with pytest.raises(CapstanError):
            await client.claim(fingerprint, lease_ms)
    for state, answer in ((RUNNING, None), (OTHER, None), (KEPT, None), (USED, ANSWER)):
        with pytest.raises(CapstanError):
            await client.conclude(state, answer)
