"""Limits, credit and alerts: what binds a project, what is posted, and who is told, once."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from capstan.billing.v1 import billing_pb2, budgets_pb2, budgets_pb2_grpc
from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from chassis.postgres import pool
from chassis.rpc_client import call
from chassis.tenancy import Tenancy
from services.billing import commands
from services.billing.alerts import PAUSES_S, Alerts
from services.billing.budget_servicer import KINDS
from services.billing.webhook import Webhook, secret_of, signature
from services.gateway.peers.treasury import Treasury
from tests.integration.billing.conftest import NOON, Books, usage_event

MONTH = "2026-11"
CREDIT, ORGANIZATION, PROJECT = (
    budgets_pb2.BUDGET_KIND_CREDIT,
    budgets_pb2.BUDGET_KIND_ORGANIZATION,
    budgets_pb2.BUDGET_KIND_PROJECT,
)


async def ask(books: Books, name: str, **fields: Any) -> Any:
    stub = budgets_pb2_grpc.BudgetServiceStub(books.channel)
    request = getattr(budgets_pb2, f"{name}Request")(**fields)
    return await call(getattr(stub, name), request, timeout_s=5, peer="billing")


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


async def test_alerts_are_kept_listed_changed_and_taken_away(books: Books, organization_id: str) -> None:
    alert = budgets_pb2.SpendAlert(
        organization_id=organization_id, threshold_nanousd=5, recipients=["a@example.com"], subject_prefix="Oh"
    )
    made = (await ask(books, "CreateSpendAlert", alert=alert)).alert
    assert made.alert_id.startswith("alert_")
    made.threshold_nanousd = 6
    assert (await ask(books, "UpdateSpendAlert", alert=made)).alert == made
    assert list((await ask(books, "ListSpendAlerts", organization_id=organization_id)).alerts) == [made]
    stranger = {"organization_id": "org-stranger", "alert_id": made.alert_id}
    with pytest.raises(CapstanError) as refused:
        await ask(books, "DeleteSpendAlert", **stranger)
    assert refused.value.reason is Reason.OBJECT_NOT_FOUND
    await ask(books, "DeleteSpendAlert", **(stranger | {"organization_id": organization_id}))
    assert list((await ask(books, "ListSpendAlerts", organization_id=organization_id)).alerts) == []


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is told; answers with the next of `statuses`, then 200."""

    server: "Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.told.append((dict(self.headers.items()), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Server(HTTPServer):
    told: list[tuple[dict[str, str], bytes]]
    statuses: list[int]


@pytest.fixture
def receiver() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Receiver)
    server.told, server.statuses = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_threshold_is_told_once_signed_and_again_after_a_failure(
    books: Books, organization_id: str, receiver: Server, caplog: pytest.LogCaptureFixture
) -> None:
    secret = secret_of("whsec_" + "c2VjcmV0" * 4)
    webhook = Webhook(f"http://127.0.0.1:{receiver.server_port}/hook", secret)
    alert = budgets_pb2.SpendAlert(organization_id=organization_id, threshold_nanousd=27_000, recipients=["x@y"])
    await ask(books, "CreateSpendAlert", alert=alert)
    await ask(books, "SetSpendLimit", organization_id=organization_id, hard_nanousd=50_000)
    now = [NOON]
    async with pool(books.settings.database(), application_name="alerts") as connections:
        tenancy = Tenancy(connections, "billing")
        looking = [Alerts(tenancy, webhook, now=lambda: now[0], log=logging.getLogger("test")) for _ in range(3)]

        async def look() -> None:
            await asyncio.gather(*(one.look() for one in looking))

        await look()
        mine = f'"{organization_id}"'.encode()
        assert not any(mine in body for _, body in receiver.told)
        receiver.statuses = [500]
        await books.ingest(usage_event("a1", organization_id=organization_id))
        await look()
        await look()
        told = [one for one in receiver.told if mine in one[1]]
        assert len(told) == 1
        now[0] += timedelta(seconds=PAUSES_S[0] + 1)
        await look()
        told = [one for one in receiver.told if mine in one[1]]
        assert len(told) == 2
        headers, body = {name.lower(): value for name, value in told[1][0].items()}, told[1][1]
        said = json.loads(body)
        assert (said["type"], said["data"]["threshold_nanousd"]) == ("spend_alert.reached", "27000")
        assert headers["webhook-signature"] == signature(
            secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body
        )
        assert headers["webhook-id"] == told[0][0].get("webhook-id")
        await books.ingest(usage_event("a2", organization_id=organization_id))
        await look()
        now[0] += timedelta(hours=1)
        await look()
        kinds = [json.loads(body)["type"] for _, body in receiver.told if mine in body]
        assert kinds == ["spend_alert.reached", "spend_alert.reached", "spend_limit.reached"]


def test_a_signature_is_what_the_specification_computes() -> None:
    """The example of the reference libraries of Standard Webhooks."""
    secret = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!", "whsec_c2hvcnQ="])
def test_a_secret_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        secret_of(text)
