"""A cap is a cap: whoever races on it, and whatever was lost meanwhile. Rows R3, B4 and G1 of the fault matrix."""

from __future__ import annotations

import asyncio
import os
import random
from datetime import UTC, datetime
from signal import SIGKILL

import pytest

from capstan.ratelimit.v1 import ratelimit_pb2
from chassis.ids import RandomIds
from chassis.rpc_client import connect
from services.billing.budgets import MOST_NANOUSD
from tests.contract.suite import until
from tests.faults.billing.conftest import GRACE_S, LONG, SEEDS, TOKENS_PER_S, Books
from tests.faults.billing.driver import Seen
from tests.integration.ratelimit.client import Client

SPENT = {"organization_spend_limit_exceeded", "credit_balance_exhausted"}
REFUSALS = {
    (429, "organization_spend_limit_exceeded"),
    (503, "budget_unavailable"),
    (503, "metering_unavailable"),
}
"""A machine that is too busy to ask ratelimit, or to sync its disk, in time refuses too."""
TOKENS = 4
"""Of each answer."""
MOST_OF_A_REQUEST = 60_000
"""Nano-dollars that the gateway holds for one, a little rounded up."""


@pytest.fixture(autouse=True)
def _unlimited_afterwards(metered: Books):
    yield
    closed(metered)
    organization = metered.organization_id
    metered.budgets("SetSpendLimit", organization_id=organization)
    metered.budgets("SetPaymentTerms", organization_id=organization, prepaid=False)
    until(lambda: asyncio.run(race(metered, 1, 1))[0].status == 200, every_s=0.3)


def posted(books: Books) -> int:
    found: int = books.budgets("GetSpendLimit", organization_id=books.organization_id).posted_nanousd
    return found


def shipped(books: Books, seen: list[Seen]) -> None:
    begun = [one for one in seen if one.status == 200]
    until(lambda: len(books.outcomes(begun)) == len(begun))


def capped(books: Books, answers: int) -> int:
    """Set a cap that leaves room for about so many answers, and wait until the gateway, which remembers for a few
    seconds what billing told, goes by it. Answers the cap."""
    (row,) = books.suite.query("select max(amount_nanousd) from billing.usage_events where completion_tokens = $1", 4)
    return limited(books, answers * int(row[0]))


def limited(books: Books, more_nanousd: int) -> int:
    """Set a cap that leaves room for so much more, and wait as `capped` does. Answers the cap."""
    closed(books)
    cap = posted(books) + more_nanousd
    books.budgets("SetSpendLimit", organization_id=books.organization_id, hard_nanousd=cap)
    until(lambda: asyncio.run(race(books, 1, 1))[0].status == 200, every_s=0.3)
    return cap


def closed(books: Books) -> None:
    """Let nothing in, so that what is let in afterwards shows that the gateway goes by what was set next."""
    books.budgets("SetSpendLimit", organization_id=books.organization_id, hard_nanousd=0)
    until(lambda: asyncio.run(race(books, 1, 1))[0].code in SPENT, every_s=0.3)


async def race(books: Books, clients: int, rounds: int) -> list[Seen]:
    async def client() -> list[Seen]:
        return [await books.driver.chat(max_tokens=TOKENS) for _ in range(rounds)]

    return [one for many in await asyncio.gather(*(client() for _ in range(clients))) for one in many]


async def alone(books: Books) -> list[Seen]:
    """Go on until less is left than a request may cost. What the last ones held is given back in the background."""
    made: list[Seen] = []
    async with asyncio.timeout(300):
        while len(made) < 10 or any(one.code not in SPENT for one in made[-10:]):
            made.append(await books.driver.chat(max_tokens=TOKENS))
            if made[-1].status != 200:
                await asyncio.sleep(0.1)
    return made


@pytest.mark.parametrize("seed", SEEDS)
def test_sixteen_clients_racing_on_a_cap_never_exceed_it(metered: Books, seed: int) -> None:
    shipped(metered, asyncio.run(race(metered, 1, 1)))
    cap = capped(metered, 40 + seed % 7)
    seen = asyncio.run(race(metered, 16, 8))
    refused = [one for one in seen if one.status != 200]
    told = {(one.status, one.code) for one in refused}
    assert (429, "organization_spend_limit_exceeded") in told
    assert told <= REFUSALS
    shipped(metered, seen)
    assert posted(metered) <= cap

    seen += asyncio.run(alone(metered))
    shipped(metered, seen)
    assert cap - MOST_OF_A_REQUEST < posted(metered) <= cap
    metered.settled(seen)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cap_holds_across_the_loss_of_valkey(metered: Books, seed: int) -> None:
    shipped(metered, asyncio.run(race(metered, 1, 1)))
    cap = capped(metered, 60 + seed % 7)
    seen = asyncio.run(race(metered, 4, 3))
    lost = metered.suite.stack.unit("valkey").pid
    os.kill(lost, SIGKILL)
    seen += asyncio.run(race(metered, 4, 3))
    metered.suite.stack.replaced("valkey", lost)
    until(lambda: asyncio.run(race(metered, 1, 1))[0].code != "budget_unavailable", every_s=0.3)
    seen += asyncio.run(race(metered, 16, 6))
    kinds = {(one.status, one.code) for one in seen if one.status != 200}
    assert (429, "organization_spend_limit_exceeded") in kinds
    assert kinds <= REFUSALS
    shipped(metered, seen)
    assert posted(metered) <= cap
    metered.settled(seen)


@pytest.mark.parametrize("seed", SEEDS)
def test_settlements_that_overtake_their_reservations_and_come_twice_leave_nothing_held(
    metered: Books, seed: int
) -> None:
    """B4: of requests each of which would hold half of what is left, and then one that needs it all."""
    seen = asyncio.run(race(metered, 1, 1))
    shipped(metered, seen)
    cap = capped(metered, 40)
    organization, drawn = metered.organization_id, random.Random(seed)

    def left() -> int:
        return cap - posted(metered)

    def charge(cost: int) -> ratelimit_pb2.Charge:
        made = ratelimit_pb2.Charge(
            dimension=ratelimit_pb2.DIMENSION_MONEY, subject_id=organization, limit=cap, cost=cost
        )
        made.budget.period_id, made.budget.kind = f"{datetime.now(UTC):%Y-%m}", "organization"
        return made

    async def played(client: Client, request_id: str, held: ratelimit_pb2.Charge) -> list[str]:
        steps = drawn.sample(["reserve", "settle", "settle", "reserve"], 4)
        for step in steps:
            if step == "settle":
                await client.settle(organization, request_id, 0)
            else:
                await client.reserve(organization, held, request_id=request_id)
        return steps

    async def play(held: ratelimit_pb2.Charge) -> list[list[str]]:
        async with connect(metered.suite.stack.address("ratelimit")) as channel:
            ids = [f"req_overtaken_{seed}_{number}" for number in range(40)]
            return await asyncio.gather(*(played(Client(channel), one, held) for one in ids))

    async def fits(whole: ratelimit_pb2.Charge) -> bool:
        async with connect(metered.suite.stack.address("ratelimit")) as channel:
            client, name = Client(channel), RandomIds().new("req_whole_")
            granted = not (await client.reserve(organization, whole, request_id=name)).HasField("refusal")
            await client.settle(organization, name, 0)
            return granted

    orders = asyncio.run(play(charge(left() // 2)))
    assert sum(steps[0] == "settle" for steps in orders) > 5
    until(lambda: asyncio.run(fits(charge(left()))))  # once billing has heard of what showed that the cap is in force
    seen += asyncio.run(race(metered, 1, 2))
    assert {one.status for one in seen} == {200}
    metered.settled(seen)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("journal", ["kept", pytest.param("lost", marks=pytest.mark.skipif(not LONG, reason="long"))])
def test_what_a_dead_gateways_streams_used_counts_against_the_cap_once(metered: Books, journal: str, seed: int) -> None:
    """G1: what billing settles for it reaches the meters, and what was held for it does not count as well.

    With its journal, the gateway tells itself when it is back; without, billing goes by what the engines counted.
    """
    shipped(metered, asyncio.run(race(metered, 1, 1)))
    streams, tokens = 3, 400 + seed % 5  # so long that none ends while another still waits to begin
    prices = metered.suite.prices()
    price = prices.get(metered.suite.stack.model) or prices["*"]
    hold = (600 * price.input_picousd + tokens * price.output_picousd) // 1000
    cap = limited(metered, (streams + 1) * hold)
    before = metered.suite.stack.unit("gateway")

    async def broken() -> list[Seen]:
        tasks = await metered.driver.speaking(streams, TOKENS_PER_S // 2, max_tokens=tokens)
        os.kill(before.pid, SIGKILL)
        if journal == "lost":
            for part in (metered.suite.stack.folder.root / "gateway").glob("journal.db*"):
                part.unlink()
        return list(await asyncio.gather(*tasks))

    seen = asyncio.run(broken())
    assert not any(one.completed for one in seen)
    metered.suite.stack.replaced("gateway", before.pid)
    begun = [one for one in seen if one.status == 200]
    until(lambda: len(metered.outcomes(begun)) == len(begun), patience_s=60 + GRACE_S * (journal == "lost"))
    assert {outcome for outcome, _, _ in metered.outcomes(begun).values()} == {"recovered"}
    after = asyncio.run(race(metered, 16, 10)) + asyncio.run(alone(metered))
    assert {(one.status, one.code) for one in after if one.status != 200} <= REFUSALS
    shipped(metered, after)
    assert cap - MOST_OF_A_REQUEST < posted(metered) <= cap
    assert "0 behind" in metered.verify()


def test_credit_is_spent_to_its_end_and_opens_again_when_more_is_paid(metered: Books) -> None:
    organization = metered.organization_id
    assert metered.suite.operate("terms", "set", "--prepaid")["prepaid"] is True
    until(lambda: asyncio.run(race(metered, 1, 1))[0].code == "credit_balance_exhausted", every_s=0.3)
    credit = metered.budgets("GetCredit", organization_id=organization)
    enough = credit.used_nanousd - credit.granted_nanousd + 10**9
    assert 0 < enough < MOST_NANOUSD
    metered.suite.operate("credit", "grant", f"{enough // 10**9}.{enough % 10**9:09}", "--id", "fault-test")
    until(lambda: asyncio.run(race(metered, 1, 1))[0].status == 200, every_s=0.3)
    metered.verify()
