"""Limits and credit: what binds a project, and what is posted."""

from datetime import timedelta
from typing import Any

import pytest

from capstan.billing.v1 import billing_pb2, budgets_pb2, invoices_pb2, invoices_pb2_grpc
from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import call
from services.billing import commands
from services.billing.budget_servicer import KINDS
from services.gateway.peers.treasury import Treasury
from tests.integration.billing.conftest import NOON, Books, ask, usage_event

MONTH = "2026-11"
CREDIT, ORGANIZATION, PROJECT = (
    budgets_pb2.BUDGET_KIND_CREDIT,
    budgets_pb2.BUDGET_KIND_ORGANIZATION,
    budgets_pb2.BUDGET_KIND_PROJECT,
)


async def terms(books: Books, organization_id: str, project_id: str = "proj_1") -> budgets_pb2.SpendingTerms:
    item = budgets_pb2.BudgetQuery(organization_id=organization_id, project_id=project_id)
    (result,) = (await ask(books, "CheckBudgets", items=[item])).results
    return result


def seen(told: budgets_pb2.SpendingTerms) -> list[tuple[str, int, str, int, int, bool]]:
    return [(b.subject_id, b.kind, b.period_id, b.cap_nanousd, b.posted_nanousd, b.soft) for b in told.budgets]


@pytest.mark.parametrize("wrong_s", [0, 600, -600])
async def test_a_gateway_learns_billings_time_whatever_its_own_clock_says(
    books: Books, organization_id: str, wrong_s: float
) -> None:
    clock = ManualClock(NOON.timestamp() + wrong_s)
    told = await Treasury(books.channel, 5, clock).terms(organization_id, "proj_1")
    assert told.epoch_s is not None
    assert told.epoch_s + clock.monotonic() == pytest.approx(NOON.timestamp())


def test_every_kind_has_its_value_on_the_wire() -> None:
    assert set(KINDS.values()) == set(budgets_pb2.BudgetKind.values()) - {0}


async def test_nothing_binds_whoever_has_no_limit(books: Books, organization_id: str) -> None:
    told = await terms(books, organization_id)
    assert (seen(told), told.prepaid, told.max_exposure_nanousd) == ([], False, 5 * 10**9)


async def test_what_was_settled_for_a_dead_gateway_is_named_to_those_of_its_project(
    books: Books, organization_id: str
) -> None:
    dead: dict[str, Any] = {"organization_id": organization_id, "outcome": billing_pb2.OUTCOME_RECOVERED}
    recovered, other = usage_event("d1", **dead), usage_event("d2", **dead, project_id="proj_other")
    await books.ingest(recovered, other, usage_event("d3", organization_id=organization_id))
    found = [(one.request_id, one.token_count) for one in (await terms(books, organization_id)).recovered]
    assert found == [(recovered.request_id, 120)]
    assert not (await terms(books, "org-elsewhere")).recovered
    # Several organisations at once are asked about across the wall.
    both = [
        budgets_pb2.BudgetQuery(organization_id=name, project_id="proj_other")
        for name in (organization_id, "org-elsewhere")
    ]
    answer = await ask(books, "CheckBudgets", items=both)
    assert [[one.request_id for one in result.recovered] for result in answer.results] == [[other.request_id], []]


async def test_limits_of_both_bind_and_this_month_counts(books: Books, organization_id: str) -> None:
    project = "proj_" + organization_id
    await ask(books, "SetSpendLimit", organization_id=organization_id, hard_nanousd=10**6)
    await ask(books, "SetSpendLimit", organization_id=organization_id, project_id=project, soft_nanousd=10**5)
    await books.ingest(
        usage_event("b1", organization_id=organization_id, project_id=project),
        usage_event("b2", organization_id=organization_id, project_id="proj_other"),
        usage_event("b3", organization_id=organization_id, project_id=project, start_time=NOON - timedelta(days=40)),
    )
    assert seen(await terms(books, organization_id, project)) == [
        (organization_id, ORGANIZATION, MONTH, 10**6, 54_000, False),
        (project, PROJECT, MONTH, 10**5, 27_000, True),
    ]
    for subject, posted in ((organization_id, 54_000), (project, 27_000)):
        answer = await ask(books, "GetPosted", subject_id=subject, period_id=MONTH)
        assert answer.posted_nanousd == posted
    limit = await ask(books, "GetSpendLimit", organization_id=organization_id, project_id=project)
    assert (limit.HasField("hard_nanousd"), limit.soft_nanousd, limit.posted_nanousd) == (False, 10**5, 27_000)
    await ask(books, "SetSpendLimit", organization_id=organization_id)
    assert [budget[1] for budget in seen(await terms(books, organization_id, project))] == [PROJECT]
    assert await commands.verify(books.settings) == 0


async def test_credit_is_granted_once_and_used_by_everything(books: Books, organization_id: str) -> None:
    await ask(books, "SetPaymentTerms", organization_id=organization_id, prepaid=True)
    grant = {"grant_id": "g-" + organization_id, "organization_id": organization_id, "amount_nanousd": 10**6}
    assert not (await ask(books, "GrantCredit", **grant)).duplicate
    assert (await ask(books, "GrantCredit", **grant)).duplicate
    with pytest.raises(CapstanError) as conflict:
        await ask(books, "GrantCredit", **(grant | {"amount_nanousd": 7}))
    assert conflict.value.reason is Reason.OBJECT_CONFLICT
    await books.ingest(usage_event("c1", organization_id=organization_id))
    told = await terms(books, organization_id)
    assert told.prepaid
    assert seen(told) == [(organization_id, CREDIT, "credit", 10**6, 27_000, False)]
    credit = await ask(books, "GetCredit", organization_id=organization_id)
    assert (credit.granted_nanousd, credit.used_nanousd) == (10**6, 27_000)
    assert (await ask(books, "GetPosted", subject_id=organization_id, period_id="credit")).posted_nanousd == 27_000
    assert await commands.verify(books.settings) == 0


async def test_a_refund_is_credit_again_also_when_it_is_more_than_was_ever_used(
    books: Books, organization_id: str
) -> None:
    """What was used only ever rises in the meters, so a refund adds to what there is."""
    await ask(books, "SetPaymentTerms", organization_id=organization_id, prepaid=True)
    grant = {"grant_id": "g-" + organization_id, "organization_id": organization_id, "amount_nanousd": 10**6}
    await ask(books, "GrantCredit", **grant)
    await books.ingest(usage_event("r1", organization_id=organization_id))
    for amount, cap, used in (
        (-30_000, 1_030_000, 27_000),
        (10_000, 1_030_000, 37_000),
        (10**7, 1_030_000, 10_037_000),
    ):
        correction = invoices_pb2.InvoiceCorrection(
            correction_id=f"c-{organization_id}-{amount}", refers_to="req", reason="goodwill", amount_nanousd=amount
        )
        request = invoices_pb2.EnterCorrectionRequest(organization_id=organization_id, correction=correction)
        stub = invoices_pb2_grpc.InvoiceServiceStub(books.channel)
        await call(stub.EnterCorrection, request, timeout_s=5, peer="billing")
        told = await terms(books, organization_id)
        assert seen(told) == [(organization_id, CREDIT, "credit", cap, used, False)]
        posted = await ask(books, "GetPosted", subject_id=organization_id, period_id="credit")
        assert posted.posted_nanousd == used
        credit = await ask(books, "GetCredit", organization_id=organization_id)
        assert credit.granted_nanousd - credit.used_nanousd == cap - used
    assert await commands.verify(books.settings) == 0


async def test_an_overrun_is_found_by_the_check(
    books: Books, organization_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await books.ingest(usage_event("before", organization_id=organization_id, start_time=NOON - timedelta(hours=1)))
    await ask(books, "SetSpendLimit", organization_id=organization_id, hard_nanousd=20_000)
    assert await commands.verify(books.settings) == 0  # what was spent before the limit is not its fault
    await books.ingest(usage_event("since", organization_id=organization_id, start_time=NOON))
    assert await commands.verify(books.settings) == 1
    assert "I9   FAIL" in capsys.readouterr().out
    await ask(books, "SetSpendLimit", organization_id=organization_id)
