"""A cap is a cap: whoever races on it, and whatever was lost meanwhile. Rows R3 and B10 of the fault matrix."""

from __future__ import annotations

import asyncio
import os
from signal import SIGKILL

import pytest

from services.billing.budgets import MOST_NANOUSD
from tests.contract.suite import until
from tests.faults.billing.conftest import Books
from tests.faults.billing.driver import Seen
from tools.local.state import Phase

SPENT = {"organization_spend_limit_exceeded", "credit_balance_exhausted"}
TOKENS = 4
"""Of each answer."""
MOST_OF_A_REQUEST = 60_000
"""Nano-dollars that the gateway holds for one, a little rounded up."""


@pytest.fixture(autouse=True)
def _unlimited_afterwards(metered: Books):
    yield
    organization = metered.organization_id
    metered.budgets("SetSpendLimit", organization_id=organization)
    metered.budgets("SetPaymentTerms", organization_id=organization, prepaid=False)


def posted(books: Books) -> int:
    found: int = books.budgets("GetSpendLimit", organization_id=books.organization_id).posted_nanousd
    return found


def shipped(books: Books, seen: list[Seen]) -> None:
    begun = [one for one in seen if one.status == 200]
    until(lambda: len(books.outcomes(begun)) == len(begun))


def capped(books: Books, answers: int) -> int:
    """Set a cap that leaves room for about so many answers, and wait until the gateway, which remembers for a few
    seconds what billing told, goes by it. Answers the cap."""
    organization = books.organization_id
    books.budgets("SetSpendLimit", organization_id=organization, hard_nanousd=0)
    until(lambda: asyncio.run(race(books, 1, 1))[0].code in SPENT, every_s=0.3)
    (row,) = books.suite.query("select max(amount_nanousd) from billing.usage_events where completion_tokens = $1", 4)
    cap = posted(books) + answers * int(row[0])
    books.budgets("SetSpendLimit", organization_id=organization, hard_nanousd=cap)
    until(lambda: asyncio.run(race(books, 1, 1))[0].status == 200, every_s=0.3)
    return cap


async def race(books: Books, clients: int, rounds: int) -> list[Seen]:
    async def client() -> list[Seen]:
        return [await books.driver.chat(max_tokens=TOKENS) for _ in range(rounds)]

    return [one for many in await asyncio.gather(*(client() for _ in range(clients))) for one in many]


def test_sixteen_clients_racing_on_a_cap_never_exceed_it(metered: Books) -> None:
    shipped(metered, asyncio.run(race(metered, 1, 1)))
    cap = capped(metered, 40)
    seen = asyncio.run(race(metered, 16, 8))
    refused = [one for one in seen if one.status != 200]
    told = {(one.status, one.code) for one in refused}
    assert (429, "organization_spend_limit_exceeded") in told
    # A machine that is too busy to ask ratelimit in time refuses too.
    assert told <= {(429, "organization_spend_limit_exceeded"), (503, "budget_unavailable")}
    shipped(metered, seen)
    assert posted(metered) <= cap

    # Alone, one goes on until less is left than a request may cost, which is what each of the sixteen held. What the
    # last one held is given back in the background.
    async def alone() -> list[Seen]:
        made: list[Seen] = []
        while len(made) < 10 or any(one.status == 200 for one in made[-10:]):
            made.append(await metered.driver.chat(max_tokens=TOKENS))
            if made[-1].status != 200:
                await asyncio.sleep(0.1)
        return made

    seen += asyncio.run(alone())
    shipped(metered, seen)
    assert cap - MOST_OF_A_REQUEST < posted(metered) <= cap
    metered.settled(seen)


def test_a_cap_holds_across_the_loss_of_valkey(metered: Books) -> None:
    shipped(metered, asyncio.run(race(metered, 1, 1)))
    cap = capped(metered, 60)
    seen = asyncio.run(race(metered, 4, 3))
    lost = metered.suite.stack.unit("valkey").pid
    os.kill(lost, SIGKILL)
    seen += asyncio.run(race(metered, 4, 3))
    metered.suite.stack.until(
        lambda told: told.unit("valkey").phase is Phase.READY and told.unit("valkey").pid not in {0, lost}
    )
    until(lambda: asyncio.run(race(metered, 1, 1))[0].code != "budget_unavailable", every_s=0.3)
    seen += asyncio.run(race(metered, 16, 6))
    kinds = {(one.status, one.code) for one in seen if one.status != 200}
    assert (429, "organization_spend_limit_exceeded") in kinds
    assert kinds <= {(429, "organization_spend_limit_exceeded"), (503, "budget_unavailable")}
    shipped(metered, seen)
    assert posted(metered) <= cap
    metered.settled(seen)


def test_credit_is_spent_to_its_end_and_opens_again_when_more_is_paid(metered: Books) -> None:
    organization = metered.organization_id
    metered.budgets("SetPaymentTerms", organization_id=organization, prepaid=True)
    until(lambda: asyncio.run(race(metered, 1, 1))[0].code == "credit_balance_exhausted", every_s=0.3)
    credit = metered.budgets("GetCredit", organization_id=organization)
    enough = credit.used_nanousd - credit.granted_nanousd + 10**9
    assert 0 < enough < MOST_NANOUSD
    metered.budgets("GrantCredit", grant_id="fault-test", organization_id=organization, amount_nanousd=enough)
    until(lambda: asyncio.run(race(metered, 1, 1))[0].status == 200, every_s=0.3)
    metered.verify()
